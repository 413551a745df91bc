"""JSON as values of types: what does not fit is a ValueError, and nothing else is ever raised."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.guest.decoding import parse, read


@dataclass(frozen=True, slots=True)
class Inner:
    number: int


@dataclass(frozen=True, slots=True)
class Other:
    text: str


@dataclass(frozen=True, slots=True)
class Outer:
    name: str
    seconds: float | None
    pairs: tuple[tuple[str, str], ...]
    either: Inner | Other
    told: bool = False


WHOLE = {"name": "a", "seconds": 1.5, "pairs": [["A", "1"]], "either": {"number": 3}, "told": True}
SOMETHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters()),
    lambda each: st.lists(each, max_size=3) | st.dictionaries(st.sampled_from([*WHOLE, "number", "text"]), each),
    max_leaves=12,
)


def test_an_object_is_read_with_all_that_is_in_it() -> None:
    assert read(Outer, WHOLE) == Outer("a", 1.5, (("A", "1"),), Inner(3), told=True)


def test_of_a_union_the_member_that_fits_is_taken() -> None:
    assert read(Outer, {**WHOLE, "either": {"text": "b"}, "seconds": None}).either == Other("b")


def test_what_an_object_has_beside_its_fields_is_left_out() -> None:
    assert read(Inner, {"number": 3, "colour": "red"}) == Inner(3)


def test_a_whole_number_may_stand_for_seconds() -> None:
    assert read(Outer, {**WHOLE, "seconds": 5}).seconds == 5


@pytest.mark.parametrize(
    "wrong",
    [
        {"name": 1},
        {"name": None},
        {"seconds": "1"},
        {"seconds": True},
        {"seconds": float("inf")},
        {"seconds": 10**40},
        {"pairs": "AB"},
        {"pairs": [["A"]]},
        {"pairs": [["A", 1]]},
        {"pairs": {"A": "1"}},
        {"either": {}},
        {"either": {"number": 2**63}},
        {"either": {"number": True}},
        {"either": {"number": 1.0}},
        {"either": []},
        {"told": 1},
    ],
)
def test_a_field_that_does_not_fit_is_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        read(Outer, {**WHOLE, **wrong})


@pytest.mark.parametrize("field", WHOLE)
def test_a_missing_field_is_refused_even_where_it_has_a_default(field: str) -> None:
    with pytest.raises(ValueError, match=f"Outer without {field}"):
        read(Outer, {name: value for name, value in WHOLE.items() if name != field})


@given(SOMETHING)
def test_nothing_but_a_value_error_is_raised(value: object) -> None:
    try:
        assert isinstance(read(Outer, value), Outer)
    except ValueError:
        pass


@pytest.mark.parametrize("text", [b"[" * 100_000, b'{"a":' * 50_000, b"NaN", b"-Infinity", b"\xff", b"", b"1" * 5_000])
def test_text_that_can_not_be_used_is_refused(text: bytes) -> None:
    with pytest.raises(ValueError, match="."):
        parse(text)
