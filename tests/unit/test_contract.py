"""Contracts: what is one, what an implementation owes it, and which arguments may be sent."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import celery
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from celery_delivery.contract import fit
from celery_delivery.contract.contracts import unimplemented
from celery_delivery.errors import ContractError
from tests.unit.contracts import CONTRACTS, check, contract, implementation, run_of


def arguments_of(task: type[celery.Task]) -> Callable[..., None]:
    return fit.argument_check(task, CONTRACTS)


# Python's own words, those of 3.13 first.
POSITIONAL_ONLY = "missing a required positional-only argument: '{0}'|'{0}' parameter is positional only"
CALLS = [
    (args, dict.fromkeys(names, 0))
    for args in ((), (0,), (0, 0), (0, 0, 0), (0, 0, 0, 0))
    for names in ((), ("a",), ("b",), ("c",), ("a", "b"), ("b", "c"), ("a", "c"), ("a", "b", "c"), ("d",), ("d", "e"))
]


def fits(run: Callable[..., Any], args: tuple[int, ...], kwargs: dict[str, int]) -> bool:
    try:
        run(None, *args, **kwargs)
    except TypeError:
        return False
    return True


def test_what_celery_tasks_defines_is_a_contract_until_it_is_implemented_elsewhere() -> None:
    greet = contract("whom")
    actual = implementation(greet, "whom")
    assert (CONTRACTS.has(greet), CONTRACTS.has(actual)) == (True, False)
    assert (CONTRACTS.of(greet), CONTRACTS.of(actual)) == (greet, greet)


def test_a_subclass_that_does_not_define_run_is_still_a_contract() -> None:
    assert CONTRACTS.has(type("Renamed", (contract("whom"),), {"__module__": __name__}))


def test_a_task_class_without_a_contract_has_only_itself_to_keep_to() -> None:
    alone = implementation(celery.Task, "whom", name="alone")
    assert CONTRACTS.of(alone) is None
    check(alone)


def test_the_one_implementation_that_a_process_has_is_found() -> None:
    greet = contract("whom")
    assert CONTRACTS.implementation_of(greet) is None
    actual = implementation(greet, "whom")
    assert CONTRACTS.implementation_of(greet) is actual
    more_so = implementation(actual, "whom")
    assert CONTRACTS.implementation_of(greet) is more_so


def test_which_of_several_implementations_is_meant_is_not_guessed() -> None:
    greet = contract("whom")
    one, other = implementation(greet, "whom"), implementation(greet, "whom")
    with pytest.raises(ContractError, match="has several implementations here: .*ActualGreet, .*ActualGreet; pass the"):
        CONTRACTS.implementation_of(greet)
    assert {one, other} == set(greet.__subclasses__())


def test_a_bare_contract_is_no_implementation() -> None:
    with pytest.raises(ContractError, match="celery_tasks.tasks:Greet is a contract without an implementation"):
        check(contract("whom"))


def test_a_task_that_never_got_a_run_is_no_implementation() -> None:
    with pytest.raises(ContractError, match=r"test_contract:Empty has no run: define it"):
        check(type("Empty", (celery.Task,), {"name": "empty", "__module__": __name__}))


class Selfless(celery.Task):
    """A task whose author has forgotten self."""

    name = "selfless"

    def run(amount: int) -> int:  # noqa: N805
        """Would get the task as its amount."""
        return amount


class Renamed(celery.Task):
    """A task whose author has another word for self."""

    name = "renamed"

    def run(me: celery.Task, amount: int) -> int:  # noqa: N805
        """Get both."""
        return amount


def test_a_run_whose_first_argument_is_the_caller_s_takes_no_self() -> None:
    with pytest.raises(ContractError, match=r"test_contract:Selfless\.run takes no self: define it as a method"):
        check(Selfless)
    check(Renamed)


def test_an_implementation_of_another_name_would_serve_a_queue_that_nobody_sends_to() -> None:
    with pytest.raises(ContractError, match="is named 'hello', but its contract .* is named 'greet'"):
        check(implementation(contract("whom"), "whom", name="hello"))


def test_an_implementation_of_another_queue_would_serve_one_that_nobody_sends_to() -> None:
    with pytest.raises(
        ContractError, match="has the queue 'slow', but its contract .* has 'greet': producers would send"
    ):
        check(implementation(contract("whom"), "whom", queue="slow"))
    shared = contract("whom")
    shared.queue = "shared"
    check(implementation(shared, "whom"))
    check(implementation(celery.Task, "whom", name="alone", queue="slow"))


@pytest.mark.parametrize(
    ("promised", "taken"),
    [
        ("", ""),
        ("a, b", "a, b"),
        ("a, b", "a, b=1"),
        ("a, b", "a, b, c=1"),
        ("a, b=1", "a, b=2"),
        ("a, b", "*args, **kwargs"),
        ("a, *, b", "a, b"),
        ("a, *, b=1", "a, **options"),
        ("a, /", "b"),
        ("a, *args", "a, *rest"),
        ("a, **kwargs", "a, **options"),
    ],
)
def test_an_implementation_may_take_more_than_was_promised(promised: str, taken: str) -> None:
    check(implementation(contract(promised), taken))


@pytest.mark.parametrize(
    ("promised", "taken", "problem"),
    [
        ("a, b", "a", "too many positional arguments"),
        ("a", "a, b", "missing a required argument: 'b'"),
        ("a, b=1", "a, b", "missing a required argument: 'b'"),
        ("a, b", "a, c", "argument 'b' would arrive as 'c'"),
        ("a, b", "b, a", "argument 'a' would arrive as 'b'"),
        ("a, **options", "b=1, **options", "argument 'a' would arrive as 'b'"),
        ("a, b", "a, *, b", "too many positional arguments"),
        ("a, b", "a, b, /", POSITIONAL_ONLY.format("a")),
        ("a, *, b", "a", "got an unexpected keyword argument 'b'"),
        ("a, *args", "a, b=1", "it does not take any number of arguments"),
        ("a, **kwargs", "a, b=1", "it does not take any keyword argument"),
    ],
)
def test_an_implementation_must_take_what_was_promised(promised: str, taken: str, problem: str) -> None:
    with pytest.raises(ContractError) as refused:
        check(implementation(contract(promised), taken))
    said = f"ActualGreet.run({taken}) does not fit its contract celery_tasks.tasks:Greet.run({promised}): "
    assert said in str(refused.value)
    assert re.search(problem, str(refused.value))


@st.composite
def parameters(draw: st.DrawFn) -> str:
    """Some of a, b and c in any order, of any kind, with or without a default, and what takes all others."""
    names = draw(st.permutations(["a", "b", "c"]))[: draw(st.integers(0, 3))]
    positional = draw(st.integers(0, len(names)))
    defaults = draw(st.integers(0, positional))
    before = [f"{name}=1" if index >= positional - defaults else name for index, name in enumerate(names[:positional])]
    after = [draw(st.sampled_from([name, f"{name}=1"])) for name in names[positional:]]
    star = draw(st.booleans())
    return ", ".join(
        [
            *before,
            *(["*args"] if star else ["*"] if after else []),
            *after,
            *(["**kwargs"] if draw(st.booleans()) else []),
        ]
    )


@settings(max_examples=300)  # most pairs do not fit
@given(parameters().filter(lambda text: not ("*args" in text and "**kwargs" in text)), parameters())
def test_every_call_that_a_contract_allows_fits_an_implementation_that_passes(promised: str, taken: str) -> None:
    task = implementation(contract(promised), taken)
    try:
        check(task)
    except ContractError:
        return
    allowed = [call for call in CALLS if fits(run_of(promised), *call)]
    assert [call for call in allowed if not fits(task.run, *call)] == []


@given(parameters())
def test_whatever_the_contract_it_is_kept_by_the_same_signature(promised: str) -> None:
    check(implementation(contract(promised), promised))


@given(parameters(), st.sampled_from(CALLS))
def test_what_may_be_sent_is_what_the_contract_s_run_takes(
    promised: str, call: tuple[tuple[int, ...], dict[str, int]]
) -> None:
    args, kwargs = call
    check = arguments_of(contract(promised))
    if fits(run_of(promised), args, kwargs):
        check(*args, **kwargs)
    else:
        with pytest.raises(TypeError):
            check(*args, **kwargs)


def test_what_an_implementation_takes_beyond_its_contract_may_not_be_sent() -> None:
    actual = implementation(contract("whom"), "whom, how='loudly'")
    with pytest.raises(TypeError, match=re.escape("greet(whom): got an unexpected keyword argument 'how'")):
        arguments_of(actual)("you", how="softly")


def test_positional_only_arguments_may_not_be_sent_by_name() -> None:
    with pytest.raises(TypeError, match=POSITIONAL_ONLY.format("whom")):
        arguments_of(contract("whom, /"))(whom="you")


def test_a_contract_that_a_worker_runs_fails_and_says_what_to_host() -> None:
    greet = contract("whom")
    task = unimplemented(greet)
    assert CONTRACTS.has(task)
    assert CONTRACTS.implementation_of(greet) is None
    with pytest.raises(
        NotImplementedError, match="'greet' was run by its contract .*: the consumer must host a subclass"
    ):
        task().run("you")
