"""The threads of this process as the kernel counts them: those that C code has started are among them.

A fork copies the calling thread only: what another one held locked stays locked for ever in what was forked.
"""

from __future__ import annotations

import os
import threading
import time
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

_TASKS = Path("/proc/self/task")
_SETTLE = 1.0  # seconds; a thread that has been waited for is still listed for a moment, and some are about to end


def running() -> frozenset[int]:
    """Return the ids of the threads that there are."""
    return frozenset(int(name) for name in os.listdir(_TASKS))


def left_since(before: frozenset[int]) -> str:
    """Return what is wrong with the threads that an import has left running since, and what to do; "" where there are none."""
    deadline = time.monotonic() + _SETTLE
    while (left := running() - before) and time.monotonic() < deadline:
        time.sleep(0.01)
    if not left:
        return ""
    return f"importing it starts threads ({names(left)}), and a process that has threads can't be forked safely. {_advice()}"


def names(threads: Iterable[int]) -> str:
    """Return the names of threads by their ids, in one line; "" where there are none."""
    counted = sorted(Counter(map(_name, threads)).items())
    return ", ".join(name if count == 1 else f"{count} of {name}" for name, count in counted)


def _name(thread: int) -> str:
    for each in threading.enumerate():
        if each.native_id == thread:
            return each.name
    try:
        return _text(_TASKS / str(thread) / "comm").strip()
    except OSError:  # it has just ended
        return "?"


def _advice() -> str:
    # Only numpy's algebra is known to start threads when it is imported, and to start none where it is told so.
    if "openblas" in _text(Path("/proc/self/maps")) and os.environ.get("OPENBLAS_NUM_THREADS") != "1":
        return "OpenBLAS is loaded: set OPENBLAS_NUM_THREADS=1 in the env file, or leave the module out."
    return "Leave the module out."


def _text(file: Path) -> str:
    """Return what the kernel says in a file; names in it need not be UTF-8."""
    return os.fsdecode(file.read_bytes())
