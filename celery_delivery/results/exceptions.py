"""What a task has raised, as its caller gets it: of the same class, with the same text.

fault of any stock backend                                    seen as                                  mend
------------------------------------------------------------  ---------------------------------------  ----------
an exception that can't be pickled is stored as one of a      ValueError, or                           what_was_raised
class that it inherits from, though nothing pickles           UnpickleableExceptionWrapper
one whose class is not made of its `args` comes as another    Exception("<class 'json.JSONDecode...")  as_told
(celery #5712)
text that its class makes of attributes is not stored         no text, or AttributeError               TEXT
"""

import sys
from collections.abc import Sequence
from typing import Any

from celery.backends.base import Backend
from celery.utils.serialization import UnpickleableExceptionWrapper

from celery_delivery import internals, mending

TEXT = "exc_text"  # what `str` makes of it, beside Celery's exc_type, exc_message and exc_module, where `args` alone don't tell


class Faithful(Backend):
    """Goes before a backend among the bases of a class: exceptions keep their class and their text."""

    def mark_as_failure(self, task_id: str, exc: BaseException, *args: Any, **kwargs: Any) -> Any:
        """Store what was raised."""
        if mending.applies(internals.client.FAITHFUL):
            exc = what_was_raised(exc, sys.exception())
        return super().mark_as_failure(task_id, exc, *args, **kwargs)

    def prepare_exception(self, exc: BaseException, serializer: str | None = None) -> Any:
        """Return an exception as it is stored."""
        stored = super().prepare_exception(exc, serializer)
        text = text_of(exc)
        if isinstance(stored, dict) and text not in {None, text_of(Exception(*exc.args))}:
            stored[TEXT] = text
        return stored

    def exception_to_python(self, exc: Any) -> Any:
        """Return the exception that was stored."""
        made = super().exception_to_python(exc)
        if not (
            isinstance(exc, dict) and isinstance(made, BaseException) and mending.applies(internals.client.FAITHFUL)
        ):
            return made
        message = exc.get("exc_message") or ()
        args = tuple(message) if isinstance(message, list | tuple) else (message,)
        return as_told(made, _class(exc) or type(made), args, str(exc.get(TEXT, Exception(*args))))


def what_was_raised(exc: BaseException, handled: BaseException | None) -> BaseException:
    """Return the exception that is being handled where Celery has put another one that can be pickled in its place."""
    stands_in = isinstance(exc, UnpickleableExceptionWrapper) or (
        type(exc) is not type(handled) and isinstance(handled, type(exc)) and handled.args == exc.args
    )
    return handled if stands_in and handled is not None else exc


def as_told(made: BaseException, kind: type[BaseException], args: Sequence[Any], text: str) -> BaseException:
    """Return `made` where its class has made of `args` what they were; else one that the same `except` catches.

    It lacks the attributes that its own constructor would set where that wants something else than `args`.
    """
    if type(made) is kind and list(made.args) == list(args) and text_of(made) == text:
        return made
    names = {"__module__": kind.__module__, "__qualname__": kind.__qualname__, "__str__": lambda _: text}
    bare = {**names, "__init__": lambda self, *args: setattr(self, "args", args)}
    for base, body in ((kind, names), (kind, bare), (Exception, bare)):
        told = _made(kind.__name__, base, body, args)
        if told is not None and list(told.args) == list(args):
            return told
    return made


def text_of(exc: BaseException) -> str | None:
    """Return what `str` makes of an exception, None where that raises."""
    try:
        return str(exc)
    except Exception:
        return None


def _class(stored: dict[str, Any]) -> type[BaseException] | None:
    """Return the class of a stored exception, None where this process has not imported it."""
    found: Any = sys.modules.get(stored.get("exc_module") or "")
    for name in stored["exc_type"].split("."):
        found = getattr(found, name, None)
    return found if isinstance(found, type) and issubclass(found, BaseException) else None


def _made(name: str, base: type[BaseException], body: dict[str, Any], args: Sequence[Any]) -> BaseException | None:
    """Return an exception of a class that is made for it, None where what it inherits wants something else."""
    try:
        made: BaseException = type(name, (base,), body)(*args)
    except Exception:
        return None
    return made
