"""What a process that was forked from the template must undo and arrange before it is a worker."""

from __future__ import annotations

import atexit
import faulthandler
import gc
import logging
import os
import signal
import sys
import threading
import time
import traceback
import weakref
from collections.abc import Callable, Iterator
from typing import Any

from ..descriptors import read_apart
from ..kernel import SHOW_STACKS, die_with_parent, leave_signal_stack, set_name, signals_held
from ..scoreboard import ENDS, LONGEST_WORDS, Pulse, Scoreboard

ADOPTION = 10.0  # seconds until the kernel must have made the daemon a worker's parent: it takes a millisecond
ORPHANED = 99  # exit status of a child whose daemon went away before the child was its own
_EXECUTORS = ("concurrent.futures.thread", "concurrent.futures.process")
_HANDLING = (
    "billiard",
    "celery",
    "celery_delivery",
    __name__.partition(".")[0],
)  # packages whose handlers a worker has
_hold_signals, _release_signals = signals_held()
_UNBLOCKED = (
    signal.SIGINT,
    signal.SIGTERM,
    signal.SIGHUP,
    signal.SIGQUIT,
    signal.SIGCHLD,
    signal.SIGUSR1,
    signal.SIGUSR2,
)


def await_adoption(daemon: int) -> None:
    """Return once the daemon, a child subreaper, is this process's parent; end the process where it never will be.

    The intermediate process of the double fork is gone within a millisecond.
    """
    deadline = time.monotonic() + ADOPTION
    while os.getppid() != daemon:
        if os.getppid() == 1 or not _exists(daemon) or time.monotonic() > deadline:
            os._exit(ORPHANED)
        time.sleep(0.0005)


def enter_cgroup(procs: int) -> None:
    """Move this process, and what it will start, into the cgroup of a cgroup.procs; raises OSError."""
    os.write(procs, b"0")


def become_worker(daemon: int, name: str, own: tuple[int, ...], shared: frozenset[int]) -> None:
    """Undo what the template set up, and tie this process to the daemon.

    own, shared: descriptors that stay open beside the standard ones: the worker's, and those of preloaded modules.
    """
    os.setsid()  # a process group of its own: one signal reaches the pool children too
    await_adoption(daemon)
    die_with_parent()
    if os.getppid() != daemon:  # it may have gone between the two calls
        os._exit(ORPHANED)
    _restore_signals()
    os.register_at_fork(before=_hold_signals, after_in_parent=_release_signals, after_in_child=_forget_handlers)
    _close_descriptors(shared.union(own))
    read_apart(shared)
    for util, _ in _multiprocessings():
        util._run_after_forkers()  # as their own fork does, which a plain os.fork() is not
    gc.enable()
    set_name(name)
    faulthandler.register(SHOW_STACKS, file=2)  # by C alone: also where the interpreter is held up
    leave_signal_stack()
    sys.argv = ["celery-agent-worker", name]


def run(main: Callable[[], int], board: int) -> None:
    """Run a worker's main function and end the process with its exit status; what ended it stands on its page, `board`.

    A `SystemExit` that has a cause ends it for that cause, which has been written down.

    `os._exit`, because the stack below belongs to the template; so atexit functions, threads and buffers are seen to here.
    """
    status, words = 1, ""
    try:
        status = main()
    except SystemExit as request:
        status = request.code if isinstance(request.code, int) else int(request.code is not None)
        words = _words(request.__cause__ or request)
        if request.__cause__ is None and words:
            sys.stderr.write(f"{words}\n")  # as Python does
    except BaseException as error:
        sys.stderr.write(traceback.format_exc())  # at once: one record where stderr is the journal's
        words = _words(error)
    finally:
        try:
            if words:
                _leave(words, board)
            threading._shutdown()  # type: ignore[attr-defined]  # first, as Python does: executors' jobs may need the rest
            atexit._run_exitfuncs()
            sys.stdout.flush()
            sys.stderr.flush()
        finally:
            os._exit(status & 0xFF)


def _words(error: BaseException) -> str:
    """Return what an exception says as one line, "" for a SystemExit that says nothing."""
    try:
        if isinstance(error, SystemExit):
            return "" if isinstance(error.code, int | None) else " ".join(str(error.code).split())
        return " ".join(f"{type(error).__name__}: {error}".split()).removesuffix(":")
    except Exception:  # its __str__ is code of anybody
        return type(error).__name__


def _leave(words: str, board: int) -> None:
    """Write last words for the daemon, beside what the process has said of itself before."""
    from .output import without_secrets  # noqa: PLC0415 - with it comes Celery, which is there by then

    page = Scoreboard(board)
    pulse = page.read() or Pulse(time.monotonic())
    page.write(pulse._replace(obstacle=ENDS + without_secrets(words)[:LONGEST_WORDS]))


def _exists(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def _restore_signals() -> None:
    for number in _UNBLOCKED:
        signal.signal(number, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.set_wakeup_fd(-1)
    signal.pthread_sigmask(signal.SIG_SETMASK, [])


def _forget_handlers() -> None:
    """Leave to what a task forks only the signal handlers that user code has installed.

    With those of Celery's worker SIGTERM asks for a warm shutdown, which a process of multiprocessing doesn't know: it goes on,
    and who waits for it hangs. Their wakeup descriptor is the worker's.
    """
    for number in signal.valid_signals():
        handler = signal.getsignal(number)
        if callable(handler) and _package(getattr(handler, "func", handler)) in _HANDLING:
            signal.signal(number, signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL)
    signal.set_wakeup_fd(-1)
    _release_signals()


def _package(function: object) -> str:
    return str(getattr(function, "__module__", "")).partition(".")[0]


def _close_descriptors(keep: frozenset[int]) -> None:
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    first = 3
    for descriptor in sorted(keep):
        os.closerange(first, descriptor)
        first = descriptor + 1
    os.closerange(first, os.sysconf("SC_OPEN_MAX"))


def forget_exits() -> None:
    """Leave nothing that the workers of this process would do at their end: what its modules hold is not theirs.

    For the template, before it forks: here it costs no worker anything. What a worker registers is called by `run`. Each of
    these libraries has one function for its own registry, which is emptied here.
    """
    atexit._clear()
    atexit.register(logging.shutdown)  # what is registered first is called last
    # Those that write nowhere: to find one among the others, of which each worker drops three, it looked at all of them.
    registered = logging._handlerList  # type: ignore[attr-defined]
    registered[:] = [each for each in registered if not isinstance(each(), logging.NullHandler)]
    for util, process in _multiprocessings():
        util._finalizer_registry.clear()
        process._children.clear()  # its exit function would end the template's children
        atexit.register(util._exit_function)
    for each in list(weakref.finalize._registry):  # type: ignore[attr-defined]
        each.atexit = False  # it is still called when its object goes
    atexit.register(weakref.finalize._exitfunc)  # type: ignore[attr-defined]
    weakref.finalize._registered_with_atexit = True  # type: ignore[attr-defined]
    # Executors wait for their jobs by it; the jobs are those of a worker, since the template has no threads.
    calls = threading._threading_atexits  # type: ignore[attr-defined]
    calls[:] = [call for call in calls if call.func.__module__ in _EXECUTORS]


def forget_attributes() -> None:
    """Leave Python's cache of the attributes of classes empty.

    For the template, before it forks. What a worker looks up takes the place of what an import has, and to let go of that name
    makes the page that it lies on the worker's own: 0.3 MB.
    """
    for name in ("_clear_internal_caches", "_clear_type_cache"):  # the first is there since Python 3.13
        if hasattr(sys, name):
            getattr(sys, name)()
            return


def _multiprocessings() -> Iterator[tuple[Any, Any]]:
    """Yield the modules `util` and `process` of multiprocessing and of Celery's own, where they are imported."""
    for name in ("multiprocessing", "billiard"):
        util, process = sys.modules.get(f"{name}.util"), sys.modules.get(f"{name}.process")
        if util is not None and process is not None:
            yield util, process
