"""What is asked of the Linux kernel by prctl(2), and of the C library beside it."""

from __future__ import annotations

import ctypes
import os
import signal

_SET_PDEATHSIG = 1
_SET_NAME = 15
_SET_CHILD_SUBREAPER = 36
_libc = ctypes.CDLL(None, use_errno=True)


def die_with_parent(how: signal.Signals = signal.SIGKILL) -> None:
    """Have the kernel send this process a signal when its parent ends; lost at a change of user, kept over exec."""
    _libc.prctl(_SET_PDEATHSIG, int(how), 0, 0, 0)


def become_subreaper() -> None:
    """Have the kernel hand orphaned descendants to this process instead of PID 1; raises OSError."""
    if _libc.prctl(_SET_CHILD_SUBREAPER, 1, 0, 0, 0):
        raise OSError(ctypes.get_errno(), f"prctl(PR_SET_CHILD_SUBREAPER): {os.strerror(ctypes.get_errno())}")


def be_no_subreaper() -> None:
    """Undo that, which user code may have asked for: a worker of a template that is one is never the daemon's child."""
    _libc.prctl(_SET_CHILD_SUBREAPER, 0, 0, 0, 0)


def set_name(name: str) -> None:
    """Set the name that `ps -o comm` and `top` show; the kernel keeps 15 bytes of it."""
    _libc.prctl(_SET_NAME, name.encode(), 0, 0, 0)


def give_back_freed_memory() -> None:
    """Let malloc return what was freed, so that no child is born with it."""
    trim = getattr(_libc, "malloc_trim", None)  # glibc only
    if trim is not None:
        trim(0)
