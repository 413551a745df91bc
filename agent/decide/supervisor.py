"""What a node does about its queues: (node, event, now) -> (node, actions).

Each queue has one current worker. Where a reload changes its spec, a successor is started beside it and takes over once
the broker has accepted its consumer, so the queue is never without one; the old worker then drains among the retiring.

    event      queue                                    done
    ---------  ---------------------------------------  ------------------------------------------------------
    Adopt      new in the plan                          a current worker goes Up
    Adopt      not in the plan any more                 all of its workers go Down; it is forgotten when they are gone
    Adopt      spec changed, current worker is serving  a successor goes Up; a former successor goes Down
    Adopt      spec changed, it is not serving          the current one goes Down, its replacement goes Up
    Adopt      only limits or timeouts changed          all of its workers live on with the new ones
    Happened   the successor consumes                   it becomes current; the old one goes Down (WARM)
    Happened   current is gone while a successor is up  the successor becomes current
    Happened   Forked for a generation nobody knows     the late process is killed
    Happened   OutOfMemory                              counted; a process that ends within seconds has that cause
    Happened   Grown, of the current worker             a successor goes Up, as where its spec has changed
    Happened   Exited                                   what it has counted is added to the queue's sum
    Happened   Exited, and nobody had told it to        the tasks that it ran are suspects; the next worker is careful
    Happened   Exited, and the agent replaced it        the same, of the tasks that may be guilty
    Happened   Died, and nobody had told it to go       the task that ended a process of its pool is a suspect
    Looked     any                                      its health is judged; ill for too long, its worker is replaced
    Confused   any                                      what is known of its workers is killed, its current one begins
                                                        anew after a pause; where it is not wanted it is forgotten
    Drain      any                                      all of its workers go Down: how gently, its health says

The watcher is beside the queues, and has a table of its own: `agent.decide.watching`.
"""

from __future__ import annotations

from dataclasses import replace

from agent.decide import watching
from agent.decide.counts import NOTHING
from agent.decide.endings import Ending, Shortage, cause, ended_by, ending_text
from agent.decide.events import (
    Action,
    Adopt,
    Confused,
    Died,
    Down,
    Drain,
    Due,
    Exited,
    Fork,
    Forked,
    ForkFailed,
    Grown,
    Happened,
    Inquired,
    Limit,
    Looked,
    NodeEvent,
    OutOfMemory,
    Replace,
    Settled,
    Shutdown,
    Stalled,
    Stop,
    Tick,
    Up,
    Watched,
    WorkerEvent,
)
from agent.decide.health import Health, after, judge, leaving
from agent.decide.node import Node, Queue, tidied
from agent.decide.plan import Difference, Plan, adjusted
from agent.decide.seen import UNSEEN
from agent.decide.words import State, Word
from agent.decide.worker_state import SERVING, UP, Worker, given_up, step
from agent.guest.spec import WorkerSpec

Step = tuple[Node, tuple[Action, ...]]


def handle(node: Node, event: NodeEvent, now: float) -> Step:
    """Return the node after the event and what is to be done."""
    node, actions = (node, ()) if watching.is_of_watcher(node, event) else _decide(node, event, now)
    node, of_watcher = watching.handle(node, event, now)
    actions = (*actions, *of_watcher)  # in this order: a template forks one after the other
    forked = {action.spec.queue: action.generation for action in actions if isinstance(action, Fork)}
    if not forked:
        return node, actions
    node = replace(node, generations={**node.generations, **forked})
    return node, tuple(_warned(node, action) if isinstance(action, Fork) else action for action in actions)


def _warned(node: Node, fork: Fork) -> Fork:
    """Return a request for a process with what is known of deaths in its queue."""
    queue = fork.spec.queue
    worker = node.worker(queue, fork.generation)
    suspects = node.suspects.get(queue, ())
    is_first = fork.generation == 1  # of this agent, which has the suspects from one before it
    is_careful = (worker is not None and worker.failures > 0) or (is_first and bool(suspects))
    return replace(fork, suspects=suspects, is_careful=is_careful)


def _decide(node: Node, event: NodeEvent, now: float) -> Step:
    match event:
        case Adopt(plan, change):
            return _adopt(node, plan, change, now)
        case Drain(how):
            return _everywhere(replace(node, draining=True), Down(how), now)
        case Stalled():
            return _everywhere(node, event, now)
        case Due(queue):
            return _at(node, queue, Tick(), now)
        case Happened():
            return _happened(node, event, now)
        case Looked():
            return _looked(node, event, now)
        case Confused(queue):
            return _begin_anew(node, queue, now)
        case Inquired() | Settled():
            return node, ()


def _adopt(node: Node, plan: Plan, change: Difference, now: float) -> Step:
    if node.draining:
        return node, ()
    queues = dict(node.queues)
    actions: list[Action] = []
    for name in change.removed:
        queues[name], done = _each(queues[name], Down(), now, node.health.get(name))
        actions += done
    started = {*change.added, *change.changed}
    for spec in plan.workers:
        if spec.queue in change.adjusted:
            queues[spec.queue], done = _adjust(queues[spec.queue], spec)
            actions += done
        if spec.queue in started:
            fresh = Worker(spec, generation=node.generations.get(spec.queue, 0))
            queues[spec.queue], done = _install(queues.get(spec.queue), fresh, now)
            actions += done
    return tidied(replace(node, plan=plan, queues=queues)), tuple(actions)


def _adjust(queue: Queue, spec: WorkerSpec) -> tuple[Queue, list[Action]]:
    actions: list[Action] = []
    for worker in queue.workers():
        if worker.spec.limits != spec.limits:
            actions.append(Limit(spec.queue, worker.generation, worker.pid, spec.limits))
        queue = _put(queue, worker, replace(worker, spec=adjusted(worker.spec, spec)))
    return queue, actions


def _install(queue: Queue | None, worker: Worker, now: float) -> tuple[Queue, list[Action]]:
    """Start a worker that is new, beside the one that serves or in place of the one that does not."""
    fresh, fork = step(worker, Up(), now)
    if queue is None:
        return Queue(fresh), list(fork)
    actions: list[Action] = []
    retiring = list(queue.retiring)
    going = [queue.successor] if queue.successor is not None else []
    keeps_serving = queue.current.state in SERVING and queue.current.wanted
    if not keeps_serving:
        going.append(queue.current)
    for each in going:
        stopping, done = step(each, Down(), now)
        retiring.append(stopping)
        actions += done
    current, successor = (queue.current, fresh) if keeps_serving else (fresh, None)
    return replace(queue, current=current, successor=successor, retiring=tuple(retiring)), [*actions, *fork]


def _happened(node: Node, event: Happened, now: float) -> Step:
    if isinstance(event.event, Exited):
        known = node.counts.get(event.queue, NOTHING)
        node = replace(node, counts={**node.counts, event.queue: known.with_those_of([event.event.pulse])})
    queue = node.queues.get(event.queue)
    worker = None if queue is None else queue.worker(event.generation)
    if queue is None or worker is None or isinstance(event.event, Watched):
        return node, _discard(event.event, event.queue)
    if isinstance(event.event, OutOfMemory):
        return replace(node, queues={**node.queues, event.queue: _short(queue, worker, event.event, now)}), ()
    if isinstance(event.event, Grown):
        return _renewed(node, queue, worker, now)
    if isinstance(event.event, Died):
        died = event.event
        return (node.blaming(worker.spec, (died.task,), died.cause) if worker.state in UP else node), ()
    changed, actions = step(worker, event.event, now)
    if isinstance(event.event, Forked) and changed.pid != event.event.pid:
        return node, _discard(event.event, event.queue)
    queue = _put(queue, worker, changed)
    if isinstance(event.event, Exited) and (worker.state in UP or worker.replaced is not None):
        why = worker.replaced or Replace("", event.event.running)
        ending = ended_by(event.event, cause(queue.shortage, event.generation, now), why.reason)
        queue = replace(queue, restarts=queue.restarts + 1, last_exit=ending)
        node = node.blaming(worker.spec, why.suspects, ending_text(ending))
    ended = isinstance(event.event, (Exited, ForkFailed))
    if worker is node.queues[event.queue].current and queue.successor is not None and ended:
        # The old worker is gone before the new one consumes: its restart would only be replaced again.
        queue, actions = replace(queue, current=queue.successor, successor=None), ()
    queue, more = _promoted(queue, node.health.get(event.queue), now)
    return tidied(replace(node, queues={**node.queues, event.queue: queue})), (*actions, *more)


def _renewed(node: Node, queue: Queue, worker: Worker, now: float) -> Step:
    """Start a fresh worker beside one that serves and holds too much memory."""
    if worker is not queue.current or queue.successor is not None or worker.state not in SERVING or not worker.wanted:
        return node, ()
    fresh = Worker(worker.spec, generation=node.generations.get(worker.spec.queue, 0))
    queue, actions = _install(replace(queue, recycled=queue.recycled + 1), fresh, now)
    return replace(node, queues={**node.queues, worker.spec.queue: queue}), tuple(actions)


def _looked(node: Node, looked: Looked, now: float) -> Step:
    """Judge each queue's health, and replace the workers for which it is time."""
    healths: dict[str, Health] = {}
    queues = dict(node.queues)
    actions: list[Action] = []
    for name, queue in node.queues.items():
        last_exit = "" if queue.last_exit is None else ending_text(queue.last_exit)
        seen = looked.seen.get(name, UNSEEN)
        health = after(node.health.get(name), judge(queue.current, seen, seen.broker, last_exit, now), now)
        due = health.due()
        if due is not None and now >= due:
            verdict = health.verdict
            how = Shutdown.WARM if verdict.word is Word.DEAF else Shutdown.KILL
            current, done = step(queue.current, Replace(verdict.cause, verdict.suspects, how), now)
            queues[name] = replace(queue, current=current)
            actions += done
        healths[name] = health
    return replace(node, queues=queues, health=healths), tuple(actions)


def _begin_anew(node: Node, name: str, now: float) -> Step:
    queue = node.queues.get(name)
    if queue is None:
        return node, ()
    actions: list[Action] = []
    for worker in queue.workers():
        actions += given_up(worker, now)[1]
    newest = replace((queue.successor or queue.current), generation=node.generations.get(name, 0))
    current, _ = given_up(newest, now)
    if not newest.wanted:
        current = replace(current, state=State.STOPPED, deadline=None)
    fresh = replace(queue, current=current, successor=None, retiring=(), restarts=queue.restarts + 1)
    return tidied(replace(node, queues={**node.queues, name: fresh})), tuple(actions)


def _short(queue: Queue, worker: Worker, event: OutOfMemory, now: float) -> Queue:
    oom_kills, shortage = queue.oom_kills + event.processes, Shortage(worker.generation, now, event)
    return replace(queue, last_exit=Ending(None, event), oom_kills=oom_kills, shortage=shortage)


def _promoted(queue: Queue, health: Health | None, now: float) -> tuple[Queue, tuple[Action, ...]]:
    """Let a successor take over as soon as it serves its queue at least as well as the current worker does."""
    successor = queue.successor
    if successor is None:
        return queue, ()
    as_good = successor.state is State.CONSUMING or (
        successor.state is State.CONNECTING and queue.current.state is not State.CONSUMING
    )
    if not as_good:
        return queue, ()
    old, actions = step(queue.current, Down(leaving(queue.current, health, now)), now)
    return replace(queue, current=successor, successor=None, retiring=(*queue.retiring, old)), actions


def _discard(event: WorkerEvent | OutOfMemory | Grown | Died | Watched, queue: str) -> tuple[Action, ...]:
    """Kill a process that came too late: its request had been given up."""
    return (Stop(queue, event.pid, Shutdown.KILL),) if isinstance(event, Forked) else ()


def _at(node: Node, name: str, event: WorkerEvent, now: float) -> Step:
    if name not in node.queues:
        return node, ()
    queue, actions = _each(node.queues[name], event, now)
    return tidied(replace(node, queues={**node.queues, name: queue})), tuple(actions)


def _everywhere(node: Node, event: Down | Stalled, now: float) -> Step:
    queues = {}
    actions: list[Action] = []
    for name, queue in node.queues.items():
        queues[name], done = _each(queue, event, now, node.health.get(name))
        actions += done
    return tidied(replace(node, queues=queues)), tuple(actions)


def _each(queue: Queue, event: WorkerEvent, now: float, health: Health | None = None) -> tuple[Queue, list[Action]]:
    actions: list[Action] = []
    for worker in queue.workers():
        known = health if worker is queue.current else None
        told = Down(max(event.how, leaving(worker, known, now))) if isinstance(event, Down) else event
        changed, done = step(worker, told, now)
        queue = _put(queue, worker, changed)
        actions += done
    return queue, actions


def _put(queue: Queue, old: Worker, new: Worker) -> Queue:
    if queue.current is old:
        return replace(queue, current=new)
    if queue.successor is old:
        return replace(queue, successor=new)
    return replace(queue, retiring=tuple(new if worker is old else worker for worker in queue.retiring))
