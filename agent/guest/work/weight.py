"""What memory a worker's processes hold together, where it may be too much: MEMORY_SOFT.

Read from /proc without any lock that the processes could hold themselves: resident memory without the files that are mapped.
What they have in common by a fork counts for each of them. See proc(5), statm.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from celery import bootsteps

from ..descendants import with_descendants
from .pulse import Account

EVERY = 5.0  # seconds
PAGE = os.sysconf("SC_PAGE_SIZE")


class WeighingStep(bootsteps.StartStopStep):
    """Bootstep that tells, once, when they hold more than `most` bytes."""

    requires = ("celery.worker.consumer.tasks:Tasks",)
    account: Account
    most: int
    is_told = False
    timer: Any = None

    def start(self, consumer: Any) -> None:
        """Begin to look, at each connection."""
        self.timer = consumer.timer.call_repeatedly(EVERY, self._look)

    def stop(self, _consumer: Any) -> None:
        """Look no more."""
        if self.timer is not None:
            self.timer.cancel()

    def _look(self) -> None:
        memory = 0 if self.is_told else sum(map(_held, with_descendants(os.getpid())))
        if memory > self.most:
            self.is_told = True
            self.account.grown(memory)


def weighing_step(account: Account, most: int) -> type[WeighingStep]:
    """Return the bootstep for an account."""
    return type("WeighingStep", (WeighingStep,), {"account": account, "most": most})


def _held(pid: int) -> int:
    try:
        _, resident, shared, *_ = map(int, Path(f"/proc/{pid}/statm").read_text().split())
    except OSError:  # it ended meanwhile
        return 0
    return (resident - shared) * PAGE
