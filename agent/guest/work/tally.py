"""A count in memory that a process shares with those that it forks: each of them adds to it, one reads it."""

from __future__ import annotations

import mmap

from billiard.process import current_process

PLACES = 511  # processes of a pool beyond these share places, where two that add at the same moment add one


class Tally:
    """Counts, each process at a place of its own: the main process, and those of a pool by the number that the pool gives them.

    A process that ends leaves its place, and what it has counted, to the one that comes instead of it.
    """

    def __init__(self) -> None:
        """Have counted nothing."""
        self._page = memoryview(mmap.mmap(-1, 8 * (PLACES + 1))).cast("Q")

    def add(self) -> None:
        """Count one more."""
        place = 1 + (1 + getattr(current_process(), "index", -1)) % PLACES
        self._page[place] += 1
        self._page[0] = 1

    def read(self) -> int:
        """Return the sum; costs nothing where nothing was counted."""
        return sum(self._page[1:]) if self._page[0] else 0
