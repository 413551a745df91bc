"""How long a worker that keeps dying waits before it is started again.

The first restart is immediate: one death says nothing about the next start, and its queue is waiting.
"""

from __future__ import annotations

LONGEST = 60.0
STABLE_AFTER = 10.0


def delay(failures: int) -> float:
    """Return seconds to wait after so many failures in a row: 0, 1, 2, 4, … 60."""
    if failures <= 1:
        return 0.0
    return float(min(2.0 ** min(failures - 2, 16), LONGEST))


def failures_after(failures: int, lived: float) -> int:
    """Return the failures in a row once a process has died that had been up for so many seconds.

    A process that was up for STABLE_AFTER seconds ends the row: its death is the first of a new one.
    """
    return 1 if lived >= STABLE_AFTER else failures + 1
