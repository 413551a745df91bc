"""Whether a pool whose places are all taken has used any CPU: its tasks may wait for something, or for one another for ever.

Nobody can tell the two apart from outside, so this is said, and nothing is done about it. What tasks have started counts too.
"""

from __future__ import annotations

import os
from collections.abc import Hashable, Iterable
from pathlib import Path
from typing import Any

from ..descendants import with_descendants

_UTIME, _STIME = 11, 12  # in proc(5) the fields 14 and 15, counted behind the name


class Standstill:
    """Since when what a pool runs, and the CPU that it has used, has been the same."""

    def __init__(self) -> None:
        """Know of nothing yet."""
        self._seen: Hashable = None
        self._since = 0.0

    def look(self, seen: Hashable, now: float) -> float:
        """Take what is seen of a pool, None where it has a place; return since when it has been so, 0.0 where it changes."""
        if seen is None or seen != self._seen:
            self._seen, self._since = seen, now
            return 0.0
        return self._since


def usage(pool: Any) -> frozenset[tuple[str, int]] | None:
    """Return the CPU that each process or thread of a pool has used, in ticks of 10 ms; None where the pool can't tell."""
    if (executor := getattr(pool, "executor", None)) is not None:
        threads = [f"/proc/self/task/{each.native_id}" for each in tuple(getattr(executor, "_threads", ()))]
        return _used([*threads, *map(_process, with_descendants(os.getpid())[1:])])
    processes = getattr(getattr(pool, "_pool", None), "_pool", None)
    if processes is None:
        return None
    return _used(_process(pid) for each in list(processes) for pid in with_descendants(each.pid))


def _process(pid: int) -> str:
    return f"/proc/{pid}"


def _used(places: Iterable[str]) -> frozenset[tuple[str, int]]:
    return frozenset((place, _ticks(place)) for place in places)


def _ticks(place: str) -> int:
    try:
        fields = Path(place, "stat").read_text(errors="replace").rpartition(")")[2].split()
    except OSError:  # it has ended
        return -1
    return int(fields[_UTIME]) + int(fields[_STIME])
