"""What is known of an instance's queues and of the workers that serve them, and what can be asked of it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import field, replace

from agent.decide.blame import Suspects, blamed
from agent.decide.counts import Counts
from agent.decide.endings import Ending, Shortage
from agent.decide.health import Health
from agent.decide.plan import Plan
from agent.decide.watch import Watch
from agent.decide.words import State
from agent.decide.worker_state import Worker
from agent.guest.spec import WorkerSpec
from agent.guest.values import dataclass


@dataclass(frozen=True, slots=True)
class Queue:
    """One queue of the node and the workers that serve it.

    restarts: processes of the current or a former worker that ended without having been told to.
    last_exit: how the newest of those, or of their pool children killed for want of memory, ended.
    recycled: workers that were replaced because they held too much memory.
    oom_kills: processes that the kernel killed for want of memory; shortage: the newest time.
    """

    current: Worker
    successor: Worker | None = None
    retiring: tuple[Worker, ...] = ()
    restarts: int = 0
    last_exit: Ending | None = None
    oom_kills: int = 0
    recycled: int = 0
    shortage: Shortage | None = None

    def workers(self) -> tuple[Worker, ...]:
        """Return all workers of the queue, the current one first."""
        return (self.current, *self.others())

    def others(self) -> tuple[Worker, ...]:
        """Return those that take its place, or have had it."""
        return self.retiring if self.successor is None else (self.successor, *self.retiring)

    def worker(self, generation: int) -> Worker | None:
        """Return the worker whose newest process is of this generation."""
        return next((worker for worker in self.workers() if worker.generation == generation), None)


@dataclass(frozen=True, slots=True)
class Node:
    """All queues of an instance.

    generations: the newest generation that was ever forked for a queue, also one that has been forgotten since. A process
        may turn up after its worker was given up; were its number used again, its reports would be taken for another's.
    suspects: the tasks that ran when workers of a queue ended; also of one that has been forgotten since.
    counts: what the processes of a queue have counted that are gone, also of one that has been forgotten since.
    draining: whether the agent was told to go.
    health: of each queue, as it was last looked at.
    settled: whether the start is over.
    watch: what asks the brokers; None where there is nothing to ask about.
    """

    plan: Plan | None = None
    queues: Mapping[str, Queue] = field(default_factory=dict)
    generations: Mapping[str, int] = field(default_factory=dict)
    suspects: Mapping[str, Suspects] = field(default_factory=dict)
    counts: Mapping[str, Counts] = field(default_factory=dict)
    draining: bool = False
    health: Mapping[str, Health] = field(default_factory=dict)
    settled: bool = False
    watch: Watch | None = None

    def worker(self, queue: str, generation: int) -> Worker | None:
        """Return the worker of a queue, or the watcher of this name, whose newest process is of this generation."""
        if self.watch is not None and queue == self.watch.name:
            return self.watch.worker if self.watch.worker.generation == generation else None
        return self.queues[queue].worker(generation) if queue in self.queues else None

    def workers(self) -> Iterator[Worker]:
        """Iterate over every worker of every queue."""
        for queue in self.queues.values():
            yield from queue.workers()

    def next_deadline(self) -> float | None:
        """Return when a queue or the watcher is next due, or None where nothing is being waited for."""
        return min((worker.deadline for worker in self.processes() if worker.deadline is not None), default=None)

    def due(self, now: float) -> tuple[str, ...]:
        """Return the queues, and the name of the watcher, of which a deadline has passed."""
        late = (each.spec.queue for each in self.processes() if each.deadline is not None and now >= each.deadline)
        return tuple(dict.fromkeys(late))

    def is_served(self) -> bool:
        """Say whether each queue is consumed from by its current worker."""
        return all(queue.current.state is State.CONSUMING for queue in self.queues.values())

    def is_finished(self) -> bool:
        """Say whether the node was told to go and nothing of it is left."""
        return self.draining and not self.queues and (self.watch is None or self.watch.worker.state is State.STOPPED)

    def processes(self) -> Iterator[Worker]:
        """Iterate over every worker of every queue, then the watcher."""
        yield from self.workers()
        if self.watch is not None:
            yield self.watch.worker

    def blaming(self, spec: WorkerSpec, running: tuple[str, ...], cause: str) -> Node:
        """Return the node with the tasks suspected that a process of a queue ran when it ended; `cause` is how, for people."""
        suspects = blamed(self.suspects.get(spec.queue, ()), running, cause, spec.max_deaths)
        return replace(self, suspects={**self.suspects, spec.queue: suspects})


def tidied(node: Node) -> Node:
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
