"""Shapes of records: dataclasses and pydantic models, which are dicts over the wire."""

import json
from collections.abc import Callable, Mapping
from dataclasses import MISSING, InitVar, fields
from typing import Any, get_type_hints

from celery_delivery.contract.shapes import Shape, misfit


class Record(Shape):
    """A dataclass; its fields go over the wire as a dict, which is taken in its place."""

    is_rich = True

    def __init__(self, kind: Any, shape_of: Callable[[Any], Shape]) -> None:
        self._kind = kind
        self._shape_of = shape_of
        self._fields: dict[str, Shape] | None = None  # looked at when the first one comes: it may have itself in it

    def encode(self, value: Any, where: str) -> Any:
        """Return what goes over the wire."""
        if isinstance(value, Mapping):
            value = self.decode(value, where)
        if type(value) is not self._kind:
            raise misfit(where, value, self._kind.__name__)
        return {
            name: shape.encode(getattr(value, name), f"{where}.{name}") for name, shape in self._all_fields().items()
        }

    def decode(self, value: Any, where: str) -> Any:
        """Return the value."""
        if type(value) is self._kind:
            return value
        if not isinstance(value, Mapping):
            raise misfit(where, value, self._kind.__name__)
        shapes = self._all_fields()
        if unknown := sorted(map(str, value.keys() - shapes.keys())):
            raise TypeError(f"{where} has {unknown[0]!r}, which {self._kind.__name__} has not")
        given = {name: shapes[name].decode(each, f"{where}.{name}") for name, each in value.items()}
        needed = (each.name for each in fields(self._kind) if each.init and _has_no_default(each))
        if missing := [name for name in needed if name not in given]:
            raise TypeError(f"{where} has no {missing[0]!r}, which {self._kind.__name__} needs")
        try:
            return self._kind(**given)
        except (TypeError, ValueError) as error:  # of its own __post_init__
            raise TypeError(f"{where} is no {self._kind.__name__}: {error}") from error

    def _all_fields(self) -> dict[str, Shape]:
        if self._fields is None:
            kinds = {each.type for each in self._kind.__dataclass_fields__.values()}
            if any(isinstance(each, InitVar) or "InitVar" in str(each) for each in kinds):
                raise TypeError(f"{self._kind.__name__} has an InitVar, which nobody could give again")
            try:
                hints = get_type_hints(self._kind, include_extras=True)
            except Exception as error:  # of whatever is evaluated
                raise TypeError(f"an annotation of {self._kind.__name__} can't be read: {error}") from error
            self._fields = {each.name: self._shape_of(hints[each.name]) for each in fields(self._kind) if each.init}
        return self._fields


class Model(Shape):
    """A pydantic model, as its JSON."""

    is_rich = True

    def __init__(self, kind: Any) -> None:
        self._kind = kind

    def encode(self, value: Any, where: str) -> Any:
        """Return what goes over the wire."""
        if isinstance(value, Mapping):
            value = self.decode(value, where)
        if type(value) is not self._kind:
            raise misfit(where, value, self._kind.__name__)
        wire = value.model_dump(mode="json", by_alias=True, round_trip=True, warnings=False)
        self.decode(wire, where)  # it may have been changed since it was made
        return wire

    def decode(self, value: Any, where: str) -> Any:
        """Return the value."""
        if type(value) is self._kind:
            return value
        try:
            return self._kind.model_validate_json(
                json.dumps(value, default=str)
            )  # as JSON, where strict models take text
        except ValueError as error:
            told: Any = getattr(error, "errors", list)()
            first = told[0] if told else {"loc": (), "msg": str(error)}
            place = "".join(f"[{each}]" if isinstance(each, int) else f".{each}" for each in first["loc"])
            raise TypeError(f"{where}{place} does not suit {self._kind.__name__}: {first['msg']}") from None


def _has_no_default(field: Any) -> bool:
    return field.default is MISSING and field.default_factory is MISSING
