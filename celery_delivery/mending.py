"""Whether a mend is in effect: our method overrides Celery's where all that it needs is there, as `internals` says."""

import inspect
import logging
import re
import sys
from collections.abc import Callable
from functools import cache, partial
from importlib import import_module
from importlib.util import find_spec
from types import CodeType
from typing import Any

from celery_delivery.errors import UnsupportedError
from celery_delivery.internals.mend import MEASURED, Mend

_log = logging.getLogger(__name__)


@cache
def obstacle(mend: Mend) -> str | None:
    """Return why a mend can't be in effect here, None where it can: another release, or a name that is gone."""
    for package in sorted({_package(name) for name in mend.names}):
        version = _version(package)
        first, end = MEASURED[package]
        if not first <= _numbers(version) < end:
            return f"{package} {version} is not among the releases {_dotted(first)} to before {_dotted(end)}"
    gone = next((name for name in needed(mend) if not _exists(name)), None)
    return None if gone is None else f"there is no {gone}"


def needed(mend: Mend) -> list[str]:
    """Return the names that a mend needs of the installed releases, without what says of which."""
    return [name.partition(" ")[0] for name in mend.names if _is_of_installed(name)]


@cache
def applies(mend: Mend) -> bool:
    """Say whether a mend is in effect; where it is not, the log says so the first time."""
    reason = obstacle(mend)
    if reason is not None:
        _log.warning("The mend %r is off, because %s: %s", mend.name, reason, mend.without)
    return reason is None


def require(mend: Mend) -> None:
    """Raise UnsupportedError where a mend that a promise needs can't be in effect."""
    reason = obstacle(mend)
    if reason is not None:
        raise UnsupportedError(
            f"the safe profile can't keep its promise, because {reason}: {mend.without}. "
            f"Install what celery-delivery asks for, or set delivery_profile to article: {_how_to_install()}"
        )


def _how_to_install() -> str:
    # A redis-py that is there may be one that kombu refuses.
    names = {"celery": "celery[redis]" if find_spec("redis") else "celery"}
    asked = " ".join(
        f"'{names.get(name, name)}>={_dotted(first)},<{_dotted(end)}'" for name, (first, end) in MEASURED.items()
    )
    return f"{sys.executable} -m pip install --upgrade {asked}"


def where(mend: Mend) -> Callable[[Callable[..., Any]], Any]:
    """Return a decorator: the method overrides the inherited one where the mend applies, else the inherited one stays."""
    return partial(_Override, mend)


class _Override:
    def __init__(self, mend: Mend, method: Callable[..., Any]) -> None:
        self._mend = mend
        self._method = method
        self.__doc__ = method.__doc__

    def __set_name__(self, owner: type, name: str) -> None:
        self._owner = owner
        self._name = name

    def __get__(self, instance: Any, owner: type) -> Any:
        if not applies(self._mend):
            return getattr(super(self._owner, owner if instance is None else instance), self._name)
        return self._method if instance is None else self._method.__get__(instance, owner)


def _is_of_installed(name: str) -> bool:
    match name.split():
        case [place, "since", release]:
            return _numbers(_version(_package(place))) >= _numbers(release)
        case [place, "before", release]:
            return _numbers(_version(_package(place))) < _numbers(release)
        case _:
            return True


def _package(name: str) -> str:
    return re.split(r"[.:]", name)[0]


def _version(package: str) -> str:
    return str(import_module(package).__version__)


def _exists(name: str) -> bool:
    module, _, path = name.partition(":")
    try:
        found: Any = import_module(module)
    except ImportError:
        return False
    for step in path.split("."):
        function = inspect.unwrap(getattr(found, "fget", found))
        code = getattr(function, "__code__", None)
        if code is not None:
            # What watches tasks, such as Sentry, puts functions of its own in the place of Celery's, and calls those.
            return step in _words(code) or function.__module__.partition(".")[0] != module.partition(".")[0]
        if not hasattr(found, step):
            return False
        found = getattr(found, step)
    return True


def _words(code: CodeType) -> set[str]:
    """Return the names that a function's code uses, and the texts: keys and names of arguments."""
    words = {*code.co_names, *code.co_varnames}
    for constant in code.co_consts:
        match constant:
            case CodeType():
                words |= _words(constant)
            case str():
                words.add(constant)
            case tuple():
                words |= {each for each in constant if isinstance(each, str)}
    return words


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(number) for number in re.findall(r"\d+", version)[:2])


def _dotted(numbers: tuple[int, ...]) -> str:
    return ".".join(map(str, numbers))
