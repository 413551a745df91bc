"""Resource limits of processes that run already: what is left of a memory limit where there is no cgroup for it."""

from __future__ import annotations

import resource
from collections.abc import Iterable


def limit_memory(pids: Iterable[int], most: int | None) -> None:
    """Let each process's next allocations fail above so many bytes; None: no limit. What it starts later inherits that.

    RLIMIT_DATA and not RLIMIT_AS: libraries that are mapped, and shared, don't count.
    """
    for pid in pids:
        try:
            _, hard = resource.prlimit(pid, resource.RLIMIT_DATA)
            resource.prlimit(pid, resource.RLIMIT_DATA, (hard if most is None else most, hard))
        except ProcessLookupError:  # it has ended meanwhile
            continue
