"""What a forked child must let go of, whoever forks it. Nothing is arranged before a process has something of the kind."""

import os
import sys
import traceback
from collections.abc import Callable
from types import TracebackType

_arranged: set[Callable[[], None]] = set()


def let_go_in_children(do: Callable[[], None]) -> None:
    """Have a function called in each child that is forked from now on; once, however often it is asked for."""
    if do not in _arranged:
        _arranged.add(do)
        os.register_at_fork(after_in_child=do)


class ChildrenEndHere:
    """Ends each child that `os.fork` makes in the block where it would leave it, with the status it would have as a program.

    As in a child of multiprocessing, no atexit function is called. A class, since each task enters a block: a generator takes
    2.5 times as long.
    """

    __slots__ = ("_process",)

    def __enter__(self) -> None:
        """Note the process that the block begins in."""
        self._process = os.getpid()

    def __exit__(
        self, _kind: type[BaseException] | None, error: BaseException | None, _where: TracebackType | None
    ) -> None:
        """End where the block ends in another."""
        if os.getpid() != self._process:
            end(error)


def end(error: BaseException | None) -> None:
    """End this process as a program would that has come to its end, or raised an error."""
    status = 0 if error is None else 1
    try:
        if isinstance(error, SystemExit) and (error.code is None or isinstance(error.code, int)):
            status = error.code or 0
        elif isinstance(error, SystemExit):
            sys.stderr.write(f"{error.code}\n")
        elif error is not None:
            traceback.print_exception(error)
        sys.stdout.flush()
        sys.stderr.flush()
    finally:
        os._exit(status & 0xFF)
