"""What is asked of the Linux kernel by prctl(2), and of the C library beside it."""

from __future__ import annotations

import ctypes
import os
import signal
from collections.abc import Callable
from functools import partial

SHOW_STACKS = signal.SIGRTMIN + 5  # a worker that gets it writes to its stderr what its threads do
_SET_PDEATHSIG = 1
_SET_NAME = 15
_SET_CHILD_SUBREAPER = 36
_ARG_START = 48 - 3  # of the fields of proc(5) behind the name
_libc = ctypes.CDLL(None, use_errno=True)
_libc_with_gil = ctypes.PyDLL(None)
_fork = ctypes.PyDLL(None, use_errno=True).fork
_SIGNAL_SET = ctypes.c_char * 128  # sigset_t of Linux
_SS_DISABLE = 2


class _Stack(ctypes.Structure):  # stack_t of Linux
    _fields_ = (("sp", ctypes.c_void_p), ("flags", ctypes.c_int), ("size", ctypes.c_size_t))


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


def fork_without_hooks() -> int:
    """Fork, and call nothing that is registered for it: for a process of one thread whose child forks again and ends.

    Those of Python's own modules take 0.6 ms, and 0.8 MB of memory that the child no longer shares. Raises OSError.
    """
    pid: int = _fork()
    if pid < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return pid


def leave_signal_stack() -> None:
    """Have signals handled on the thread's own stack again, after `faulthandler` has given it another one.

    Python's handlers run on that, too. It has some 11 kB: six signals that came at once overflowed it where the CPU has
    AVX-512, and the kernel ended the process.
    """
    _libc.sigaltstack(ctypes.byref(_Stack(flags=_SS_DISABLE)), None)


def set_name(name: str) -> None:
    """Set the name that `ps -o comm` and `top` show; the kernel keeps 15 bytes of it."""
    _libc.prctl(_SET_NAME, name.encode(), 0, 0, 0)


def set_title(title: str) -> None:
    """Set what `ps` shows as this process's command line; in the room that the line took, what is longer loses its middle.

    Nothing is done where the kernel does not tell where the line stands, as where this process may not look at itself.
    """
    try:
        with open("/proc/self/stat", "rb") as stat:  # the fields begin behind the name, which may have any sign in it
            fields = stat.read().rpartition(b")")[2].split()
    except OSError:
        return
    start, end = int(fields[_ARG_START]), int(fields[_ARG_START + 1])
    room = end - start - 1
    if start == 0 or room < 1:
        return
    text = title.encode(errors="backslashreplace")
    if len(text) > room:
        tail = (room - 1) // 2
        text = text[: room - 1 - tail] + b"~" + text[len(text) - tail :]
    ctypes.memmove(start, text.ljust(end - start, b"\0"), end - start)


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
