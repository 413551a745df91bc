"""JSON as values of given types: whatever can't be used is refused, always with ValueError.

What comes over a socket may have been written by user code, which shares its process with the agent's own code.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import is_dataclass
from functools import cache
from types import NoneType, UnionType
from typing import Any, NoReturn, TypeVar, Union, get_args, get_origin, get_type_hints

T = TypeVar("T")
LARGEST_INTEGER = 2**63 - 1  # what the kernel, a log and other programs can take


def parse(text: bytes | str) -> Any:
    """Return what a JSON text says; raises ValueError, also where it is nested too deeply."""
    try:
        return json.loads(text, parse_constant=_refuse)
    except RecursionError:
        raise ValueError("JSON that is nested too deeply") from None


def read(kind: type[T], value: object) -> T:
    """Return a parsed JSON object as a value of a frozen dataclass; raises ValueError where a field is missing or does not fit.

    Fields may be of type str, int, float, bool or None, dataclasses themselves, tuples of these, and unions of these, of
    which the first that fits is taken. What the object has beside them is left out.
    """
    return _read(kind, value)  # type: ignore[no-any-return]


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is no number")


def _read(kind: Any, value: Any) -> Any:
    origin = get_origin(kind)
    if origin in (Union, UnionType):
        return _read_first(get_args(kind), value)
    if origin is tuple:
        return _read_tuple(get_args(kind), value)
    if is_dataclass(kind):
        return _read_fields(kind, value)
    if not _fits(kind, value):
        raise ValueError(f"{kind.__name__} was expected, and it is {type(value).__name__}")
    return value


def _read_first(kinds: tuple[Any, ...], value: Any) -> Any:
    for kind in kinds[:-1]:
        try:
            return _read(kind, value)
        except ValueError:
            continue
    return _read(kinds[-1], value)


def _read_tuple(kinds: tuple[Any, ...], value: Any) -> tuple[Any, ...]:
    if not isinstance(value, list):
        raise ValueError(f"a list was expected, and it is {type(value).__name__}")  # noqa: TRY004 - the one error of all
    if kinds[-1] is ...:
        return tuple(_read(kinds[0], each) for each in value)
    if len(value) != len(kinds):
        raise ValueError(f"a list of {len(kinds)} was expected, and it has {len(value)}")
    return tuple(_read(kind, each) for kind, each in zip(kinds, value, strict=True))


def _read_fields(kind: Any, value: Any) -> Any:
    if not isinstance(value, Mapping):
        raise ValueError(f"an object was expected, and it is {type(value).__name__}")  # noqa: TRY004 - the one error of all
    known = {}
    for name, field in _fields(kind).items():
        if name not in value:
            raise ValueError(f"{kind.__name__} without {name}")
        try:
            known[name] = _read(field, value[name])
        except ValueError as error:
            raise ValueError(f"{name} of {kind.__name__}: {error}") from None
    return kind(**known)


@cache
def _fields(kind: Any) -> dict[str, Any]:
    return get_type_hints(kind)


def _fits(kind: Any, value: Any) -> bool:
    if kind is NoneType:
        return value is None
    if kind is bool:
        return isinstance(value, bool)
    if isinstance(value, bool):
        return False
    if kind is int or (kind is float and isinstance(value, int)):
        return isinstance(value, int) and abs(value) <= LARGEST_INTEGER
    if kind is float:
        return isinstance(value, float) and math.isfinite(value)
    return isinstance(value, kind)
