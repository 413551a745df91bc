"""Which calls suit a signature."""

from __future__ import annotations

from inspect import Parameter, Signature, signature
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from celery_delivery.contract.calls import Call

NAMES = ("a", "b", "c", "d")


def _runs() -> list[Signature]:
    def nothing() -> None: ...
    def needed(a: Any, b: Any) -> None: ...
    def optional(a: Any, b: Any = 1, c: Any = 2) -> None: ...
    def any_number(a: Any, *b: Any) -> None: ...
    def anything(a: Any, *b: Any, **c: Any) -> None: ...
    def named(a: Any, *, b: Any) -> None: ...
    def named_or_not(a: Any, *, b: Any = 1) -> None: ...
    def only_positional(a: Any, b: Any = 1, /, c: Any = 2) -> None: ...

    return [
        signature(run)
        for run in (nothing, needed, optional, any_number, anything, named, named_or_not, only_positional)
    ]


def _suits(check: Any) -> bool:
    try:
        check()
    except TypeError:
        return False
    return True


@given(st.sampled_from(_runs()), st.lists(st.none(), max_size=5), st.dictionaries(st.sampled_from(NAMES), st.none()))
def test_a_call_suits_where_python_would_bind_its_arguments(
    run: Signature, args: list[None], kwargs: dict[str, None]
) -> None:
    assert _suits(lambda: Call(run).check(args, kwargs)) == _suits(lambda: run.bind(*args, **kwargs))


def test_an_argument_whose_name_is_no_text_suits_nothing() -> None:
    run = Signature([Parameter("a", Parameter.POSITIONAL_OR_KEYWORD, default=None)])
    kwargs: Any = {1: None}
    with pytest.raises(TypeError):
        Call(run).check([], kwargs)


def test_a_call_that_is_seen_to_suit_by_counting_is_not_bound() -> None:
    class Unbound(Signature):
        def bind(self, *_args: Any, **_kwargs: Any) -> Any:
            raise AssertionError("it was bound")

    call = Call(Unbound([Parameter("a", Parameter.POSITIONAL_OR_KEYWORD), Parameter("more", Parameter.VAR_KEYWORD)]))
    call.check([1], {})
    call.check([], {"a": 1})
