"""Shapes of values that JSON does not know: sets, tuples, enumerations, dates.

A shape makes of a value what goes over the wire, and of that the value again. Either checks: what does not fit is a TypeError
that says where, and what it must be.
"""

import json
from collections import abc
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import date, datetime, time
from decimal import Decimal
from enum import Enum
from typing import Any
from uuid import UUID

READ: dict[type, Callable[[str], Any]] = {
    datetime: datetime.fromisoformat,
    date: date.fromisoformat,
    time: time.fromisoformat,
    Decimal: Decimal,
    UUID: UUID,
}


class Shape:
    """What is said by an annotation of no other kind: nothing, so that any value goes as it is.

    is_rich: JSON alone would not bring it back, or not look at it.
    """

    is_rich = False

    def encode(self, value: Any, where: str) -> Any:  # noqa: ARG002 - others say where
        """Return what goes over the wire; raises TypeError."""
        return value

    def decode(self, value: Any, where: str) -> Any:  # noqa: ARG002
        """Return the value of what came, or a value that is one already; raises TypeError."""
        return value


def misfit(where: str, value: Any, wanted: str) -> TypeError:
    """Return what to raise for a value that is something else."""
    text = repr(value)
    return TypeError(f"{where} is {text if len(text) <= 80 else f'{text[:79]}…'}, and must be {wanted}")


class Scalar(Shape):
    """A value that JSON, as kombu has it, knows: int, str, datetime."""

    def __init__(self, kind: type) -> None:
        self._kind = kind
        self._also = (int,) if kind is float else ()
        self.is_rich = kind in READ or kind is bytes

    def has(self, value: Any) -> bool:
        """Say whether a value is of this kind; a bool is no int, and a datetime no date."""
        if isinstance(value, bool | datetime) and self._kind not in (bool, datetime):
            return False
        return isinstance(value, (self._kind, *self._also))

    def encode(self, value: Any, where: str) -> Any:
        """Return what goes over the wire."""
        if not self.has(value):
            raise misfit(where, value, self._kind.__name__)
        return value

    def decode(self, value: Any, where: str) -> Any:
        """Return the value."""
        read = READ.get(self._kind)
        if read is not None and isinstance(value, str):
            try:
                return read(value)
            except (ValueError, ArithmeticError):
                raise misfit(where, value, self._kind.__name__) from None
        return self.encode(value, where)


class Nothing(Shape):
    """None."""

    def encode(self, value: Any, where: str) -> Any:
        """Return what goes over the wire."""
        if value is not None:
            raise misfit(where, value, "None")
        return value

    decode = encode


class OneOf(Shape):
    """A literal."""

    def __init__(self, values: tuple[Any, ...]) -> None:
        self._values = values

    def encode(self, value: Any, where: str) -> Any:
        """Return what goes over the wire."""
        if not any(value == each and type(value) is type(each) for each in self._values):
            raise misfit(where, value, f"one of {', '.join(map(repr, self._values))}")
        return value

    decode = encode


class Member(Shape):
    """An enumeration; its values go over the wire."""

    is_rich = True

    def __init__(self, kind: type[Enum]) -> None:
        self._kind = kind

    def encode(self, value: Any, where: str) -> Any:
        """Return what goes over the wire."""
        return self.decode(value, where).value

    def decode(self, value: Any, where: str) -> Any:
        """Return the value."""
        for each in self._kind if isinstance(value, list) else ():
            if _listed(each.value) == value:
                return each
        try:
            return self._kind(value)
        except ValueError:
            raise misfit(where, value, f"one of {', '.join(repr(each.value) for each in self._kind)}") from None


def _listed(value: Any) -> Any:
    """Return a value as JSON has it, which knows no tuples."""
    return [_listed(each) for each in value] if isinstance(value, (tuple, list)) else value


class Items(Shape):
    """A list, or another collection that is one over the wire; `kind` is what it is made of again."""

    def __init__(self, kind: Any, item: Shape) -> None:
        self._kind = kind if kind in (list, set, frozenset, tuple) else set if kind is abc.Set else list
        self._item = item
        self.is_rich = self._kind is not list or item.is_rich

    def encode(self, value: Any, where: str) -> Any:
        """Return what goes over the wire."""
        return [self._item.encode(each, f"{where}[{place}]") for place, each in self._all(value, where)]

    def decode(self, value: Any, where: str) -> Any:
        """Return the value."""
        return self._kind(self._item.decode(each, f"{where}[{place}]") for place, each in self._all(value, where))

    def _all(self, value: Any, where: str) -> Any:
        if not isinstance(value, (list, tuple, set, frozenset)):
            raise misfit(where, value, f"a {self._kind.__name__}")
        return enumerate(value)


class Places(Shape):
    """A tuple of so many."""

    is_rich = True

    def __init__(self, items: tuple[Shape, ...]) -> None:
        self._items = items

    def encode(self, value: Any, where: str) -> Any:
        """Return what goes over the wire."""
        return [shape.encode(each, f"{where}[{place}]") for place, shape, each in self._all(value, where)]

    def decode(self, value: Any, where: str) -> Any:
        """Return the value."""
        return tuple(shape.decode(each, f"{where}[{place}]") for place, shape, each in self._all(value, where))

    def _all(self, value: Any, where: str) -> Any:
        if not isinstance(value, (list, tuple)) or len(value) != len(self._items):
            raise misfit(where, value, f"a tuple of {len(self._items)}")
        return zip(range(len(value)), self._items, value, strict=True)


class Pairs(Shape):
    """A dict; its keys are text over the wire: as they are, or the JSON of a number or a list."""

    def __init__(self, key: Shape, value: Shape, key_kind: Any) -> None:
        self._key, self._value = key, value
        self.is_rich = key.is_rich or value.is_rich or key_kind is int

    def encode(self, value: Any, where: str) -> Any:
        """Return what goes over the wire."""
        encoded = {}
        for key, each in self._all(value, where):
            place = f"a key of {where}"
            meant = self._read(key, place)
            wire = self._key.encode(meant, place)
            text = json.dumps(wire) if isinstance(wire, (int, float, tuple, list)) else str(wire)
            if self._read(text, place) != meant:
                raise TypeError(f"{place} is {key!r}, and would arrive as something else: all keys are text there")
            encoded[text] = self._value.encode(each, f"{where}[{key!r}]")
        return encoded

    def decode(self, value: Any, where: str) -> Any:
        """Return the value."""
        return {
            self._read(key, f"a key of {where}"): self._value.decode(each, f"{where}[{key!r}]")
            for key, each in self._all(value, where)
        }

    def _read(self, key: Any, place: str) -> Any:
        try:
            return self._key.decode(key, place)
        except TypeError:
            with suppress(TypeError, ValueError, RecursionError):  # of what is no JSON, and of what does not fit either
                return self._key.decode(json.loads(key), place)
            raise

    def _all(self, value: Any, where: str) -> Any:
        if not isinstance(value, Mapping):
            raise misfit(where, value, "a dict")
        return value.items()


class Either(Shape):
    """A union: the first that a value fits."""

    def __init__(self, shapes: tuple[Shape, ...]) -> None:
        self._shapes = shapes
        self.is_rich = any(each.is_rich for each in shapes)
        self._is_doubtful = self.is_rich and sum(not isinstance(each, Nothing) for each in shapes) > 1

    def encode(self, value: Any, where: str) -> Any:
        """Return what goes over the wire."""
        wire = self._first("encode", value, where)
        if self._is_doubtful and not isinstance(value, Mapping):
            back = self.decode(wire, where)
            if type(back) is not type(value):
                kinds = f"{type(value).__name__}, and would arrive as {type(back).__name__}"
                raise TypeError(f"{where} is {kinds}: give them fields by which they can be told apart")
        return wire

    def decode(self, value: Any, where: str) -> Any:
        """Return the value."""
        for shape in self._shapes:
            if isinstance(shape, Scalar) and shape.has(value):
                return value
        return self._first("decode", value, where)

    def _first(self, way: str, value: Any, where: str) -> Any:
        errors = []
        for shape in self._shapes:
            try:
                return getattr(shape, way)(value, where)
            except TypeError as error:
                if not isinstance(shape, Nothing):
                    errors.append(str(error))
        raise TypeError("; or ".join(dict.fromkeys(errors)))
