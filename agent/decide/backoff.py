"""How long a worker that keeps dying waits before it is started again.

The first restart is immediate: one death says nothing about the next start, and its queue is waiting. A worker that ran
tasks when it died had started well, and its tasks are suspected (`agent.decide.blame`): its queue waits for a second at most.
"""

from __future__ import annotations

from zlib import crc32

LONGEST = 60.0
LONGEST_BESIDE_TASKS = 1.0
STABLE_AFTER = 10.0
JITTER = 0.25  # of a pause, by which it is shorter at most: workers that end all at once do not come back at once


def delay(failures: int, longest: float = LONGEST) -> float:
    """Return seconds to wait after so many failures in a row: 0, 1, 2, 4, … 60, or the longest that is given."""
    if failures <= 1:
        return 0.0
    return float(min(2.0 ** min(failures - 2, 16), longest))


def is_longest(failures: int) -> bool:
    """Say whether so many failures in a row have come to the longest pause."""
    return delay(failures) >= LONGEST


def jittered(pause: float, queue: str, failures: int) -> float:
    """Return a pause that is shorter by a part that the queue's name decides about: the same each time it is asked for."""
    return pause * (1.0 - JITTER * crc32(f"{queue} {failures}".encode()) / 2**32)


def failures_after(failures: int, lived: float) -> int:
    """Return the failures in a row once a process has died that had been up for so many seconds.

    A process that was up for STABLE_AFTER seconds ends the row: its death is the first of a new one.
    """
    return 1 if lived >= STABLE_AFTER else failures + 1
