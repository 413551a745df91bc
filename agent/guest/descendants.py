"""What a process has started: read from /proc without any lock that the process itself could hold, and ended with it."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterable, Iterator
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
    handles = _handles(with_descendants(pid)[1:])
    try:
        yield
    finally:
        _kill(handles)


def kill_after(seconds: float, pid: int) -> None:
    """Kill a process that is there still when some seconds have passed; from a thread, since the caller's may be busy."""
    timer = threading.Timer(seconds, _kill, (_handles([pid]),))
    timer.daemon = True
    timer.start()


def _handles(pids: Iterable[int]) -> list[int]:
    """Return descriptors of processes, which stay theirs when they have ended and their numbers are others'."""
    handles = []
    for pid in pids:
        with suppress(OSError):  # it has ended; or this kernel is older than 5.3
            handles.append(os.pidfd_open(pid))
    return handles


def _kill(handles: Iterable[int]) -> None:
    for handle in handles:
        with suppress(ProcessLookupError, PermissionError):
            signal.pidfd_send_signal(handle, signal.SIGKILL)
        os.close(handle)
