"""What is asked of the Linux kernel by prctl(2), and of the C library beside it."""

from __future__ import annotations

import ctypes
import os
import signal
from collections.abc import Callable
from functools import partial

_SET_PDEATHSIG = 1
_SET_NAME = 15
_SET_CHILD_SUBREAPER = 36
_libc = ctypes.CDLL(None, use_errno=True)
_libc_with_gil = ctypes.PyDLL(None)
_SIGNAL_SET = ctypes.c_char * 128  # sigset_t of Linux


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


def signals_held() -> tuple[Callable[[], None], Callable[[], object]]:
    """Return a function that has the calling thread hold all signals back, and one that lets them come again.

    The second is no Python code: what a handler raises is raised where its caller goes on. In a function of Python's, such as
    `signal.pthread_sigmask`, the handlers would run inside of what is called when a process was forked, where it is lost.
    The two keep one mask for all threads: those that user code gave masks of their own, and that fork at once, may swap them.
    """
    everything, found, before = _SIGNAL_SET(), _SIGNAL_SET(), _SIGNAL_SET()
    _libc_with_gil.sigfillset(everything)
    _libc_with_gil.sigemptyset(before)

    def hold() -> None:
        _libc_with_gil.pthread_sigmask(int(signal.SIG_BLOCK), everything, found)
        if not _libc_with_gil.sigismember(found, int(signal.SIGTERM)):  # else it is held already
            ctypes.memmove(before, found, len(before))

    return hold, partial(_libc_with_gil.pthread_sigmask, int(signal.SIG_SETMASK), before, None)
