"""The code that each queue runs: that of the plan which started its workers, whatever is saved meanwhile.

A worker that is replaced by one of the same spec runs the same code as the one before it. A reload gives new code to the
queues that it adds or changes, and leaves it away from the others.
"""

from __future__ import annotations

import fcntl
import os

from agent.decide.plan import Difference, Plan, newer
from agent.guest.spec import Source
from agent.guest.values import dataclass

_SEALS = fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_WRITE | fcntl.F_SEAL_SEAL


@dataclass(frozen=True, slots=True)
class Code:
    """What one plan was made from: a memfd with the code, and the files that it comes from; see `agent.guest.code`."""

    descriptor: int
    sources: tuple[Source, ...] = ()


class Codes:
    """What each queue runs, and what the planner is writing."""

    def __init__(self) -> None:
        """There is none yet."""
        self._queues: dict[str, Code] = {}
        self._next: Code | None = None

    def begin(self) -> int:
        """Return the descriptor that the next plan's code is to be written to. Raises OSError."""
        self._forget_next()
        self._next = Code(os.memfd_create("celery-agent-code", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING))
        return self._next.descriptor

    def newer(self, plan: Plan, change: Difference) -> dict[str, tuple[str, ...]]:
        """Return the files that have changed since the workers of queues began which a plan leaves as they are, by queue."""
        found = {
            queue: newer(self._queues[queue].sources, plan.code)
            for queue in (*change.adjusted, *change.unchanged)
            if queue in self._queues
        }
        return {queue: files for queue, files in found.items() if files}

    def adopt(self, plan: Plan, change: Difference) -> None:
        """Give a plan's code to the queues that it adds or changes."""
        descriptor = self._next.descriptor if self._next is not None else self.begin()
        fcntl.fcntl(descriptor, fcntl.F_ADD_SEALS, _SEALS)
        code, self._next = Code(descriptor, plan.code), None
        before = {each.descriptor for each in self._queues.values()}
        renewed = {*change.added, *change.changed}
        self._queues = {
            worker.queue: code if worker.queue in renewed else self._queues.get(worker.queue, code)
            for worker in plan.workers
        }
        for unused in {*before, descriptor} - {each.descriptor for each in self._queues.values()}:
            os.close(unused)

    def of(self, queue: str) -> int:
        """Return the descriptor of what a queue runs. Raises OSError where there is none."""
        code = self._queues.get(queue)
        if code is None:
            raise OSError(f"no code is known of {queue}")
        return code.descriptor

    def close(self) -> None:
        """Forget all of it."""
        self._forget_next()
        for descriptor in {each.descriptor for each in self._queues.values()}:
            os.close(descriptor)
        self._queues.clear()

    def _forget_next(self) -> None:
        if self._next is not None:
            os.close(self._next.descriptor)
            self._next = None
