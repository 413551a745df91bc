"""Resource limits of processes that run already: what is left of a memory limit where there is no cgroup for it."""

from __future__ import annotations

import resource
from collections.abc import Iterable


def limit_memory(pids: Iterable[int], most: int | None) -> None:
    """Let each process's next allocations fail above so many bytes; None: no limit. What it starts later inherits that.

    Where the hard limit is lower, that one holds. RLIMIT_DATA and not RLIMIT_AS: libraries that are mapped, and shared,
    don't count.
    """
    for pid in pids:
        try:
            _, hard = resource.prlimit(pid, resource.RLIMIT_DATA)
            resource.prlimit(pid, resource.RLIMIT_DATA, (_lower(most, hard), hard))
        except (ProcessLookupError, PermissionError):  # it has ended meanwhile, or become another user's (setuid)
            continue


def _lower(most: int | None, hard: int) -> int:
    if most is None:
        return hard
    return most if hard == resource.RLIM_INFINITY else min(most, hard)
