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
    Happened   OutOfMemory                              counted; what ends within seconds ended of it
    Drain      any                                      all of its workers go Down
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace

from agent.decide.endings import Ending, Shortage, cause
from agent.decide.events import (
    Action,
    Adopt,
    Down,
    Drain,
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
from agent.decide.plan import Plan, adjusted, difference
from agent.decide.worker_state import State, Worker, step
from agent.guest.spec import WorkerSpec

SERVING = frozenset({State.CONNECTING, State.CONSUMING})


@dataclass(frozen=True, slots=True)
class Queue:
    """One queue of the node and the workers that serve it.

    restarts: processes of the current or a former worker that ended without having been told to.
    last_exit: how the newest of those, or of their pool children killed for want of memory, ended.
    oom_kills: processes that the kernel killed for want of memory; shortage: the newest time.
    """

    current: Worker
    successor: Worker | None = None
    retiring: tuple[Worker, ...] = ()
    restarts: int = 0
    last_exit: Ending | None = None
    oom_kills: int = 0
    shortage: Shortage | None = None

    def workers(self) -> tuple[Worker, ...]:
        """Return all workers of the queue, the current one first."""
        successor = () if self.successor is None else (self.successor,)
        return (self.current, *successor, *self.retiring)

    def worker(self, generation: int) -> Worker | None:
        """Return the worker whose newest process is of this generation."""
        return next((worker for worker in self.workers() if worker.generation == generation), None)


@dataclass(frozen=True, slots=True)
class Node:
    """All queues of an instance.

    generations: the newest generation that was ever forked for a queue, also one that has been forgotten since. A process
        may turn up after its worker was given up; were its number used again, its reports would be taken for another's.
    draining: whether the agent was told to go.
    """

    plan: Plan | None = None
    queues: Mapping[str, Queue] = field(default_factory=dict)
    generations: Mapping[str, int] = field(default_factory=dict)
    draining: bool = False

    def worker(self, queue: str, generation: int) -> Worker | None:
        """Return the worker of a queue whose newest process is of this generation."""
        return self.queues[queue].worker(generation) if queue in self.queues else None

    def workers(self) -> Iterator[Worker]:
        """Iterate over every worker of every queue."""
        for queue in self.queues.values():
            yield from queue.workers()


Step = tuple[Node, tuple[Action, ...]]


def handle(node: Node, event: NodeEvent, now: float) -> Step:
    """Return the node after the event and what is to be done."""
    node, actions = _decide(node, event, now)
    forked = {action.spec.queue: action.generation for action in actions if isinstance(action, Fork)}
    return (replace(node, generations={**node.generations, **forked}) if forked else node), actions


def _decide(node: Node, event: NodeEvent, now: float) -> Step:
    match event:
        case Adopt(plan):
            return _adopt(node, plan, now)
        case Drain(how):
            return _everywhere(replace(node, draining=True), Down(how), now)
        case Tick() | Stalled():
            return _everywhere(node, event, now)
        case Happened():
            return _happened(node, event, now)


def next_deadline(node: Node) -> float | None:
    """Return when a Tick is next needed, or None where nothing is being waited for."""
    return min((worker.deadline for worker in node.workers() if worker.deadline is not None), default=None)


def is_finished(node: Node) -> bool:
    """Say whether the node was told to go and nothing of it is left."""
    return node.draining and not node.queues


def _adopt(node: Node, plan: Plan, now: float) -> Step:
    if node.draining:
        return node, ()
    # Without a former plan everything is added; what a draining queue of the same name left behind is kept below.
    change = difference(node.plan or replace(plan, workers=()), plan)
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
    if isinstance(event.event, Exited) and worker.state is not State.STOPPING:
        ending = Ending(event.event.status, cause(queue.shortage, event.generation, now))
        queue = replace(queue, restarts=queue.restarts + 1, last_exit=ending)
    ended = isinstance(event.event, (Exited, ForkFailed))
    if worker is node.queues[event.queue].current and queue.successor is not None and ended:
        # The old worker is gone before the new one consumes: its restart would only be replaced again.
        queue, actions = replace(queue, current=queue.successor, successor=None), ()
    queue, more = _promoted(queue, now)
    return _tidied(replace(node, queues={**node.queues, event.queue: queue})), (*actions, *more)


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


def _everywhere(node: Node, event: Down | Tick | Stalled, now: float) -> Step:
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
