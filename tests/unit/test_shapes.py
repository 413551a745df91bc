"""Values over the wire and back: what is taken when it is sent comes back as it was, and what would not is refused there."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from enum import Enum, IntEnum
from typing import Any
from uuid import UUID

import pytest
from kombu.utils.json import dumps, loads

from celery_delivery.contract.annotations import shape_of


class Number(IntEnum):
    """Numbers, which are text as keys."""

    ONE = 1


class Place(Enum):
    """Tuples, which are lists over the wire."""

    HOME = (1, (2, 3))


def over_the_wire(annotation: Any, value: Any) -> Any:
    shape = shape_of(annotation)
    return shape.decode(loads(dumps(shape.encode(value, "it"))), "it")


@pytest.mark.parametrize(
    ("annotation", "value"),
    [
        (dict[int, str], {-5: "a"}),
        (dict[Number, str], {Number.ONE: "a"}),
        (dict[float, Decimal], {1.5: Decimal(2)}),
        (dict[bool, UUID], {True: UUID(int=1)}),
        (dict[tuple[int, int], Number], {(1, 2): Number.ONE}),
        (dict[date, int], {date(2026, 1, 2): 1}),
        (dict[Decimal, int], {Decimal("1.50"): 1}),
        (dict[str, Number], {"1": Number.ONE}),
        (dict[Place, int], {Place.HOME: 1}),
        (Place, Place.HOME),
        (set[Place], {Place.HOME}),
    ],
)
def test_a_value_comes_back_as_it_was(annotation: Any, value: Any) -> None:
    assert over_the_wire(annotation, value) == value


@pytest.mark.parametrize(
    ("annotation", "value"),
    [
        (dict[bytes, Number], {b"a": Number.ONE}),
        (dict[int | str, Number], {5: Number.ONE}),
        (dict[float, Number], {float("nan"): Number.ONE}),
    ],
)
def test_a_key_that_would_come_back_as_another_is_refused_when_it_is_sent(annotation: Any, value: Any) -> None:
    with pytest.raises(TypeError, match="a key of it is "):
        shape_of(annotation).encode(value, "it")


@pytest.mark.parametrize("key", ["[" * 100_000, "x", "1.5", "null", ""])
def test_a_key_from_elsewhere_that_does_not_fit_is_told(key: str) -> None:
    with pytest.raises(TypeError, match="a key of it is "):
        shape_of(dict[Number, str]).decode({key: "a"}, "it")
