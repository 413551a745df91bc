"""What a task has raised, as its caller gets it: of the same class, with its arguments, attributes, text and traceback.

fault of any stock backend                                    seen as                                  mend
------------------------------------------------------------  ---------------------------------------  ----------------
an exception that can't be pickled is stored as one of a      ValueError, or                           what_was_raised
class that it inherits from, though nothing pickles           UnpickleableExceptionWrapper
one whose class is not made of its `args` comes as another    Exception("<class 'json.JSONDecode...")  as_told
(celery #5712)
text that its class makes of attributes is not stored         no text, or AttributeError               TEXT
attributes are not stored                                     AttributeError, in an `except` clause    ATTRIBUTES
the class's own constructor is called once more, with what    what it does (a log line, a counter) is  rebuilt
a message says                                                done by each who reads the result
where it was raised is not told with it                       a traceback that begins at `.get()`      with_traceback
"""

import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from traceback import format_exception
from types import MemberDescriptorType
from typing import Any

from celery.backends.base import Backend
from celery.utils.serialization import UnpickleableExceptionWrapper

from celery_delivery import internals, mending

# Beside Celery's exc_type, exc_message and exc_module:
TEXT = "exc_text"  # what `str` makes of it, where `args` alone don't tell
ATTRIBUTES = "exc_attributes"  # by name; there, though empty, where the constructor need not be called

LARGEST = 65_536  # characters of an attribute, which is often among the args too; a larger one is left out
_BUILT_IN = 1 << 9  # the flag that a class of Python's own has not
_KEPT = {"args", "add_note", "with_traceback"}  # what no attribute takes the place of


class Faithful(Backend):
    """Goes before a backend among the bases of a class: exceptions come back as they were."""

    def mark_as_failure(
        self, task_id: str, exc: BaseException, traceback: Any = None, *args: Any, **kwargs: Any
    ) -> Any:
        """Store what was raised, and its traceback."""
        raised = what_was_raised(exc, sys.exception()) if mending.applies(internals.client.FAITHFUL) else exc
        if traceback and raised is not exc:  # it ends with the name of what stands in
            traceback = "".join(format_exception(raised))
        return super().mark_as_failure(task_id, raised, traceback, *args, **kwargs)

    def prepare_exception(self, exc: BaseException, serializer: str | None = None) -> Any:
        """Return an exception as it is stored."""
        stored = super().prepare_exception(exc, serializer)
        if isinstance(stored, dict):
            stored[ATTRIBUTES] = {name: value for name, value in _attributes(exc) if self._takes(value)}
            text = text_of(exc)
            if text not in {None, text_of(Exception(*exc.args))}:
                stored[TEXT] = text
        return stored

    def exception_to_python(self, exc: Any) -> Any:
        """Return the exception that was stored."""
        is_told = isinstance(exc, dict) and isinstance(exc.get("exc_type"), str)
        if not (is_told and mending.applies(internals.client.FAITHFUL)):
            return super().exception_to_python(exc)
        attributes = exc.get(ATTRIBUTES)
        message = exc.get("exc_message") or ()
        args = tuple(message) if isinstance(message, list | tuple) else (message,)
        text = str(exc.get(TEXT, Exception(*args)))
        kind = _class(exc) or _named(exc["exc_type"].rpartition(".")[2], exc.get("exc_module"), Exception)
        return as_told(kind, args, text, attributes if isinstance(attributes, dict) else None)

    def meta_from_decoded(self, meta: Any) -> Any:
        """Return what was stored of a task, with the exception that it raised."""
        meta = super().meta_from_decoded(meta)
        with_traceback(meta.get("result"), meta.get("traceback"))
        return meta

    def _takes(self, value: Any) -> bool:
        try:
            return len(self.encode(value)) <= LARGEST
        except Exception:
            return False


def what_was_raised(exc: BaseException, handled: BaseException | None) -> BaseException:
    """Return the exception that is being handled where Celery has put another one that can be pickled in its place."""
    stands_in = isinstance(exc, UnpickleableExceptionWrapper) or (
        type(exc) is not type(handled) and isinstance(handled, type(exc)) and handled.args == exc.args
    )
    return handled if stands_in and handled is not None else exc


def as_told(
    kind: type[BaseException], args: Sequence[Any], text: str, attributes: Mapping[str, Any] | None
) -> BaseException:
    """Return an exception of a class with these arguments, attributes and text, which `except` catches as it would that one.

    Its constructor is called only where no attributes were stored, as by workers without this library: it may set them.
    """
    made = _constructed(kind, args) if attributes is None else rebuilt(kind, args, attributes)
    for base in (kind, Exception):
        if made is not None and list(made.args) == list(args) and text_of(made) == text:
            return made
        made = rebuilt(_named(kind.__name__, kind.__module__, base, text), args, attributes or {})
    return Exception(text) if made is None else made


def rebuilt(kind: type[BaseException], args: Sequence[Any], attributes: Mapping[str, Any]) -> BaseException | None:
    """Return an exception as it was, without a call of its class's own constructor; None where that is not to be had.

    It is made by the class of Python's own that it inherits from, whose constructor does nothing else.
    """
    base = next(each for each in kind.__mro__ if not each.__flags__ & _BUILT_IN)
    try:
        made: Any = base.__new__(kind, *args)
        base.__init__(made, *args)  # type: ignore[misc]
        made.args = args
    except Exception:
        return None
    members = _members(kind)
    for name, value in attributes.items():
        if name in members:
            with suppress(AttributeError, TypeError):
                members[name].__set__(made, value)
        elif name not in _KEPT and not name.startswith("__"):
            vars(made)[name] = value
    return made  # type: ignore[no-any-return]


def with_traceback(exc: Any, text: Any) -> None:
    """Have an exception tell, in its own traceback, where the worker has raised it."""
    if isinstance(exc, BaseException) and isinstance(text, str):
        note = f"The worker's traceback:\n{text.rstrip()}"
        if note not in getattr(exc, "__notes__", ()):  # Celery asks for some results twice
            BaseException.add_note(exc, note)


def text_of(exc: BaseException) -> str | None:
    """Return what `str` makes of an exception, None where that raises."""
    try:
        return str(exc)
    except Exception:
        return None


def _attributes(exc: BaseException) -> Iterator[tuple[str, Any]]:
    """Yield what an exception has beside its args: its own attributes, and what its class keeps elsewhere, such as filename."""
    yield from ((name, value) for name, value in vars(exc).items() if not name.startswith("__"))
    for name, member in _members(type(exc)).items():
        with suppress(AttributeError):  # a slot that is empty
            value = member.__get__(exc)
            if value is not None:
                yield name, value


def _members(kind: type[BaseException]) -> dict[str, Any]:
    """Return what a class keeps outside of its instances' __dict__, by name."""
    return {
        name: member
        for base in reversed(kind.__mro__)
        for name, member in vars(base).items()
        if isinstance(member, MemberDescriptorType) and not name.startswith("__")
    }


def _class(stored: dict[str, Any]) -> type[BaseException] | None:
    """Return the class of a stored exception, None where this process has not imported it."""
    found: Any = sys.modules.get(stored.get("exc_module") or "")
    for name in stored["exc_type"].split("."):
        found = getattr(found, name, None)
    return found if isinstance(found, type) and issubclass(found, BaseException) else None


def _constructed(kind: type[BaseException], args: Sequence[Any]) -> BaseException | None:
    try:
        made = kind(*args)
    except Exception:
        return None
    return made if type(made) is kind else None


def _named(name: str, module: Any, base: type[BaseException], text: str | None = None) -> type[BaseException]:
    """Return a class that is called as another one, whose `str` is a text."""
    body = {"__module__": str(module)} | ({} if text is None else {"__str__": lambda _: text})
    try:
        return type(name, (base,), body)
    except Exception:
        return type(name, (Exception,), body)
