"""What annotations say of values: their shapes.

pydantic is looked at where somebody has imported it, as whoever has a model has.
"""

import sys
import types
from collections import abc
from dataclasses import is_dataclass
from enum import Enum
from functools import cache
from typing import Annotated, Any, Literal, NewType, Union, get_args, get_origin

from celery_delivery.contract.records import Model, Record
from celery_delivery.contract.shapes import READ, Either, Items, Member, Nothing, OneOf, Pairs, Places, Scalar, Shape

_LISTS = {list, set, frozenset, abc.Sequence, abc.Iterable, abc.Collection, abc.Set}
_DICTS = {dict, abc.Mapping, abc.MutableMapping}

_ANY = Shape()


@cache
def _of_class(kind: Any) -> Shape:
    if is_dataclass(kind):
        return Record(kind, shape_of)
    if issubclass(kind, Enum):
        return Member(kind)
    if kind in READ or kind in (int, str, float, bool, bytes):
        return Scalar(kind)
    if kind in (set, frozenset, tuple):
        return Items(kind, _ANY)
    pydantic = sys.modules.get("pydantic")
    return Model(kind) if pydantic is not None and issubclass(kind, pydantic.BaseModel) else _ANY


def shape_of(annotation: Any) -> Shape:
    """Return what an annotation says; raises TypeError for one whose values could not be made again."""
    while isinstance(annotation, NewType) or type(annotation).__name__ == "TypeAliasType":
        annotation = annotation.__supertype__ if isinstance(annotation, NewType) else annotation.__value__
    origin, inner = get_origin(annotation), get_args(annotation)
    if annotation is None or annotation is type(None):
        return Nothing()
    if origin is Annotated:
        return shape_of(inner[0])
    if origin in (Union, types.UnionType):
        return Either(tuple(map(shape_of, inner)))
    if origin is Literal:
        return OneOf(inner)
    if origin is tuple and not (len(inner) == 2 and inner[1] is Ellipsis):
        return Places(tuple(map(shape_of, inner)))
    if origin is tuple or origin in _LISTS:
        return Items(origin, shape_of(inner[0]))
    if origin in _DICTS:
        return Pairs(shape_of(inner[0]), shape_of(inner[1]), inner[0])
    if is_dataclass(origin):
        raise TypeError(f"{annotation} is a generic dataclass, of which nobody could tell what to make again")
    return _of_class(annotation) if isinstance(annotation, type) and origin is None else _ANY


def plain(value: Any) -> Any:
    """Return a value as it goes over the wire, by its own class: of an argument whose place is not known yet."""
    kind: Any = type(value)
    if kind in (list, tuple, set, frozenset):
        return [plain(each) for each in value]
    if kind is dict:
        return {key: plain(each) for key, each in value.items()}
    shape = _of_class(kind)
    return value if shape is _ANY or isinstance(shape, (Scalar, Items)) else shape.encode(value, kind.__name__)
