"""Values: as the frozen, slotted classes of `dataclasses` are, without what those cost at each start."""

import copy
import dataclasses
import pickle
from collections.abc import Mapping
from typing import Any

import pytest

from agent.guest.values import dataclass


@dataclass(frozen=True, slots=True)
class Point:
    """Two numbers, and what is known of them."""

    x: int
    y: int = 2
    known: Mapping[str, int] = dataclasses.field(default_factory=dict)

    @property
    def sum(self) -> int:
        """Return what they make together."""
        return self.x + self.y


@dataclass(frozen=True, slots=True)
class One:
    """One field."""

    text: str


@dataclass(frozen=True, slots=True)
class Nothing:
    """No field."""


@dataclasses.dataclass(frozen=True, slots=True)
class Stock:
    """What `dataclasses` makes of the same fields."""

    x: int
    y: int = 2
    known: Mapping[str, int] = dataclasses.field(default_factory=dict)


def test_a_value_is_made_and_shown_as_one_of_dataclasses() -> None:
    ways: list[tuple[Any, Any]] = [((1,), {}), ((1, 3), {}), ((), {"y": 4, "x": 5}), ((1, 2, {"a": 1}), {})]
    for args, given in ways:
        ours, theirs = Point(*args, **given), Stock(*args, **given)
        assert dataclasses.asdict(ours) == dataclasses.asdict(theirs)
        assert dataclasses.astuple(ours) == dataclasses.astuple(theirs)
        assert repr(ours) == repr(theirs).replace("Stock", "Point")
    assert Point(1).known is not Point(1).known
    assert Point(1).sum == 3


@pytest.mark.parametrize(("args", "given"), [((), {}), ((1, 2, {}, 4), {}), ((1,), {"z": 1}), ((1,), {"x": 1})])
def test_what_is_no_field_is_refused_at_the_first_instance_and_later(args: Any, given: Any) -> None:
    @dataclass(frozen=True, slots=True)
    class Fresh:
        x: int
        y: int = 2
        known: Mapping[str, int] = dataclasses.field(default_factory=dict)

    for _ in range(2):
        with pytest.raises(TypeError, match="__init__"):
            Fresh(*args, **given)


def test_values_of_equal_fields_are_equal_and_of_one_class_only() -> None:
    assert One("a") == One("a")
    assert hash(One("a")) == hash(One("a"))
    assert One("a") != One("b")
    other: Any = Stock(1)
    assert Point(1) != other
    assert Nothing() == Nothing()
    assert len({One("a"), One("a"), One("b"), Nothing()}) == 3


@pytest.mark.parametrize("name", ["x", "new"])
def test_a_value_never_changes(name: str) -> None:
    point = Point(1)
    with pytest.raises(dataclasses.FrozenInstanceError):
        setattr(point, name, 3)
    with pytest.raises(dataclasses.FrozenInstanceError):
        delattr(point, name)
    assert not hasattr(point, "__dict__")


def test_a_value_is_replaced_copied_pickled_and_matched() -> None:
    point = Point(1, 3, {"a": 1})
    assert dataclasses.replace(point, y=5) == Point(1, 5, {"a": 1})
    assert copy.deepcopy(point) == copy.copy(point) == pickle.loads(pickle.dumps(point)) == point  # noqa: S301 - its own
    match point:
        case Point(x, y):
            assert (x, y) == (1, 3)
        case _:
            pytest.fail("it does not match")


def test_a_class_keeps_the_methods_that_it_has_itself() -> None:
    @dataclass(frozen=True, slots=True)
    class Named:
        name: str

        def __repr__(self) -> str:
            return self.name

    assert repr(Named("it")) == "it"
