"""What a process has started: read from /proc without any lock that the process itself could hold."""

from __future__ import annotations

import os
from pathlib import Path


def with_descendants(pid: int) -> list[int]:
    """Return the pids of a process and of all that it and they have started."""
    # psutil's children() reads all of /proc for each call: 50 workers would cost 50 such scans.
    found = [pid]
    for each in found:
        try:
            for thread in os.listdir(f"/proc/{each}/task"):
                found += map(int, Path(f"/proc/{each}/task/{thread}/children").read_text().split())
        except OSError:  # it ended meanwhile
            continue
    return found
