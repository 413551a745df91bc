"""What a process has started: read from /proc without any lock that the process itself could hold."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager, suppress
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


@contextmanager
def ended_with(pid: int) -> Iterator[None]:
    """Kill what a process has started after it was ended inside: from then on nobody knows what was its own."""
    handles = []
    for each in with_descendants(pid)[1:]:
        with suppress(OSError):  # it ended meanwhile; or this kernel is older than 5.3
            handles.append(os.pidfd_open(each))  # its number may be another's by then
    try:
        yield
    finally:
        for handle in handles:
            with suppress(ProcessLookupError, PermissionError):
                signal.pidfd_send_signal(handle, signal.SIGKILL)
            os.close(handle)
