"""Errors that Python reports itself, since no code can catch them: one message each.

Python's own hooks write them piece by piece, so that each line of a traceback is a record of its own.
"""

from __future__ import annotations

import sys
import threading
import traceback


def report_at_once() -> None:
    """Have what is raised in a finalizer, or ends a thread, written in one piece; a hook of user code comes after this one."""
    sys.unraisablehook = _ignored
    threading.excepthook = _ended


def _ignored(error: sys.UnraisableHookArgs) -> None:
    where = f"{error.err_msg or 'Exception ignored in'}: {_named(error.object)}"
    if isinstance(error.exc_value, SystemExit):  # a signal to go came while that ran: nothing is wrong with it
        _write(f"{where}: {error.exc_value!r}\n")
    else:
        _write(f"{where}\n{_text(error)}")


def _ended(error: threading.ExceptHookArgs) -> None:
    if error.exc_type is SystemExit:  # as Python's own
        return
    name = threading.get_ident() if error.thread is None else error.thread.name
    _write(f"Exception in thread {name}:\n{_text(error)}")


def _text(error: sys.UnraisableHookArgs | threading.ExceptHookArgs) -> str:
    return "".join(traceback.format_exception(error.exc_type, error.exc_value, error.exc_traceback))


def _named(thing: object) -> str:
    try:
        return repr(thing)
    except Exception:  # code of anybody, which may be half gone
        return object.__repr__(thing)


def _write(text: str) -> None:
    if sys.stderr is not None:
        sys.stderr.write(text)
