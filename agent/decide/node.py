"""What is known of an instance's queues and of the workers that serve them, and what can be asked of it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from agent.decide.endings import Ending, Shortage
from agent.decide.plan import Plan
from agent.decide.worker_state import Worker


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

    def next_deadline(self) -> float | None:
        """Return when a queue is next due, or None where nothing is being waited for."""
        return min((worker.deadline for worker in self.workers() if worker.deadline is not None), default=None)

    def due(self, now: float) -> tuple[str, ...]:
        """Return the queues of which a deadline has passed."""
        return tuple(
            name
            for name, queue in self.queues.items()
            if any(worker.deadline is not None and now >= worker.deadline for worker in queue.workers())
        )

    def is_finished(self) -> bool:
        """Say whether the node was told to go and nothing of it is left."""
        return self.draining and not self.queues
