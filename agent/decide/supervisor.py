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
    Confused   any                                      what is known of its workers is killed, its current one begins
                                                        anew after a pause; where it is not wanted it is forgotten
    Drain      any                                      all of its workers go Down
"""

from __future__ import annotations

from dataclasses import replace

from agent.decide.endings import Ending, Shortage, cause
from agent.decide.events import (
    Action,
    Adopt,
    Confused,
    Down,
    Drain,
    Due,
    Exited,
    Fork,
    Forked,
    ForkFailed,
    Happened,
    Limit,
    NodeEvent,
    OutOfMemory,
    Shutdown,
    Stalled,
    Stop,
    Tick,
    Up,
    WorkerEvent,
)
from agent.decide.node import Node, Queue
from agent.decide.plan import Difference, Plan, adjusted
from agent.decide.worker_state import SERVING, UP, State, Worker, given_up, step
from agent.guest.spec import WorkerSpec

Step = tuple[Node, tuple[Action, ...]]


def handle(node: Node, event: NodeEvent, now: float) -> Step:
    """Return the node after the event and what is to be done."""
    node, actions = _decide(node, event, now)
    forked = {action.spec.queue: action.generation for action in actions if isinstance(action, Fork)}
    return (replace(node, generations={**node.generations, **forked}) if forked else node), actions


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
        case Confused(queue):
            return _begin_anew(node, queue, now)


def _adopt(node: Node, plan: Plan, change: Difference, now: float) -> Step:
    if node.draining:
        return node, ()
    queues = dict(node.queues)
    actions: list[Action] = []
    for name in change.removed:
        queues[name], done = _each(queues[name], Down(), now)
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
    return _tidied(replace(node, plan=plan, queues=queues)), tuple(actions)


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
    queue = node.queues.get(event.queue)
    worker = None if queue is None else queue.worker(event.generation)
    if queue is None or worker is None:
        return node, _discard(event.event, event.queue)
    if isinstance(event.event, OutOfMemory):
        return replace(node, queues={**node.queues, event.queue: _short(queue, worker, event.event, now)}), ()
    changed, actions = step(worker, event.event, now)
    if isinstance(event.event, Forked) and changed.pid != event.event.pid:
        return node, _discard(event.event, event.queue)
    queue = _put(queue, worker, changed)
    if isinstance(event.event, Exited) and worker.state in UP:
        ending = Ending(event.event.status, cause(queue.shortage, event.generation, now))
        queue = replace(queue, restarts=queue.restarts + 1, last_exit=ending)
    ended = isinstance(event.event, (Exited, ForkFailed))
    if worker is node.queues[event.queue].current and queue.successor is not None and ended:
        # The old worker is gone before the new one consumes: its restart would only be replaced again.
        queue, actions = replace(queue, current=queue.successor, successor=None), ()
    queue, more = _promoted(queue, now)
    return _tidied(replace(node, queues={**node.queues, event.queue: queue})), (*actions, *more)


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
    return _tidied(replace(node, queues={**node.queues, name: fresh})), tuple(actions)


def _short(queue: Queue, worker: Worker, event: OutOfMemory, now: float) -> Queue:
    return replace(
        queue,
        last_exit=Ending(None, event),
        oom_kills=queue.oom_kills + event.processes,
        shortage=Shortage(worker.generation, now, event),
    )


def _promoted(queue: Queue, now: float) -> tuple[Queue, tuple[Action, ...]]:
    """Let a successor take over as soon as it serves its queue at least as well as the current worker does."""
    successor = queue.successor
    if successor is None:
        return queue, ()
    as_good = successor.state is State.CONSUMING or (
        successor.state is State.CONNECTING and queue.current.state is not State.CONSUMING
    )
    if not as_good:
        return queue, ()
    old, actions = step(queue.current, Down(), now)
    return replace(queue, current=successor, successor=None, retiring=(*queue.retiring, old)), actions


def _discard(event: WorkerEvent | OutOfMemory, queue: str) -> tuple[Action, ...]:
    """Kill a process that came too late: its request had been given up."""
    return (Stop(queue, event.pid, Shutdown.KILL),) if isinstance(event, Forked) else ()


def _at(node: Node, name: str, event: WorkerEvent, now: float) -> Step:
    if name not in node.queues:
        return node, ()
    queue, actions = _each(node.queues[name], event, now)
    return _tidied(replace(node, queues={**node.queues, name: queue})), tuple(actions)


def _everywhere(node: Node, event: Down | Stalled, now: float) -> Step:
    queues = {}
    actions: list[Action] = []
    for name, queue in node.queues.items():
        queues[name], done = _each(queue, event, now)
        actions += done
    return _tidied(replace(node, queues=queues)), tuple(actions)


def _each(queue: Queue, event: WorkerEvent, now: float) -> tuple[Queue, list[Action]]:
    actions: list[Action] = []
    for worker in queue.workers():
        changed, done = step(worker, event, now)
        queue = _put(queue, worker, changed)
        actions += done
    return queue, actions


def _put(queue: Queue, old: Worker, new: Worker) -> Queue:
    if queue.current is old:
        return replace(queue, current=new)
    if queue.successor is old:
        return replace(queue, successor=new)
    return replace(queue, retiring=tuple(new if worker is old else worker for worker in queue.retiring))


def _tidied(node: Node) -> Node:
    """Forget retired workers that are gone, and queues that nothing is left of."""
    queues = {}
    for name, queue in node.queues.items():
        successor = queue.successor
        kept = replace(
            queue,
            successor=None if successor is not None and successor.state is State.STOPPED else successor,
            retiring=tuple(worker for worker in queue.retiring if worker.state is not State.STOPPED),
        )
        if kept.current.state is not State.STOPPED or len(kept.workers()) > 1:
            queues[name] = kept
    return replace(node, queues=queues)
