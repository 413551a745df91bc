"""Contracts: what is one, what an implementation owes it, and which arguments may be sent."""

from __future__ import annotations

import functools
import re
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import celery
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from celery_delivery.apps import create_app_from
from celery_delivery.contract import fit
from celery_delivery.contract.contracts import Contracts, unimplemented
from celery_delivery.errors import ContractError
from celery_delivery.testing import End, StubBroker
from celery_tasks import tasks

CONTRACTS = Contracts("celery_tasks")


def check(task: type[celery.Task]) -> None:
    fit.check_implementation(task, CONTRACTS)


def arguments_of(task: type[celery.Task]) -> Callable[..., None]:
    return fit.argument_check(task, CONTRACTS)


CALLS = [
    (args, dict.fromkeys(names, 0))
    for args in ((), (0,), (0, 0), (0, 0, 0), (0, 0, 0, 0))
    for names in ((), ("a",), ("b",), ("c",), ("a", "b"), ("b", "c"), ("a", "c"), ("a", "b", "c"), ("d",), ("d", "e"))
]


def run_of(parameters: str) -> Callable[..., Any]:
    """Return a `run` with these parameters."""
    code = f"def run({', '.join(filter(None, ['self', parameters]))}): return 'done'"
    namespace: dict[str, Any] = {"__name__": __name__}
    exec(code, namespace)
    run: Callable[..., Any] = namespace["run"]
    return run


def contract(parameters: str, name: str = "greet") -> type[celery.Task]:
    """Return a contract of this test's own: `celery_tasks.tasks` would define one just so."""
    run = run_of(parameters)
    run.__module__ = tasks.__name__
    return type("Greet", (celery.Task,), {"name": name, "run": run, "__module__": tasks.__name__})


def implementation(of: type[celery.Task], parameters: str, **attributes: object) -> type[celery.Task]:
    return type("ActualGreet", (of,), {"run": run_of(parameters), "__module__": __name__, **attributes})


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


def test_a_run_without_self_is_no_implementation() -> None:
    def run() -> None: ...

    with pytest.raises(ContractError, match="test_contract:ActualGreet.run takes no self"):
        check(implementation(contract(""), "", run=run))


async def _coroutine(self: celery.Task) -> None: ...


def _generator(self: celery.Task) -> Iterator[int]:
    yield 1


async def _both(self: celery.Task) -> AsyncIterator[int]:
    yield 1


@pytest.mark.parametrize("run", [_coroutine, _generator, _both])
def test_what_a_worker_would_never_run_is_no_implementation(run: Callable[..., Any]) -> None:
    with pytest.raises(ContractError, match=r"ActualGreet.run is a coroutine or generator, whose body no worker would"):
        check(implementation(contract(""), "", run=run))


class Decorated:
    """What a decorator leaves that makes an object of a function, of which Python makes no method."""

    def __init__(self, function: Callable[..., Any]) -> None:
        self.function = function

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self.function(*args, **kwargs)


class Binding(Decorated):
    """The same, as decorators ought to leave it."""

    def __init__(self, function: Callable[..., Any]) -> None:
        super().__init__(function)
        functools.update_wrapper(self, function)

    def __get__(self, task: object, owner: type) -> Callable[..., Any]:
        return self if task is None else functools.partial(self, task)


def whom(self: celery.Task, whom: str) -> str:
    return f"{self.name} {whom}"


RUNS = {
    "lambda": lambda self, whom: f"{self.name} {whom}",
    "lru_cache": functools.lru_cache(whom),
    "partialmethod": functools.partialmethod(whom),
    "singledispatchmethod": functools.singledispatchmethod(whom),
    "staticmethod": staticmethod(lambda whom: f"greet {whom}"),
    "partial": functools.partial(lambda greeting, whom: f"{greeting} {whom}", "greet"),
    "a decorator's object": Binding(whom),
}


@pytest.mark.parametrize("run", RUNS.values(), ids=RUNS)
def test_a_run_need_not_be_a_function(run: object) -> None:
    check(implementation(contract("whom"), "", run=run))


@pytest.mark.parametrize("run", RUNS.values(), ids=RUNS)
def test_whatever_may_be_run_is_run(run: object) -> None:
    task = implementation(contract("whom"), "", run=run)
    with StubBroker() as broker:
        worker: Any = create_app_from([task], "celery_tasks.celery_config").tasks["greet"]
        result = worker.delay("world")
        assert [outcome.end for outcome in broker.work(worker.app)] == [End.SUCCEEDED]
        assert result.get() == "greet world"


@pytest.mark.parametrize("run", [Decorated(whom), print, int, "run"], ids=["object", "builtin", "class", "text"])
def test_a_run_that_gets_no_self_is_no_implementation(run: object) -> None:
    with pytest.raises(ContractError, match=r"test_contract:ActualGreet.run (is|takes no self).*: define it "):
        check(implementation(contract("whom"), "", run=run))


def test_an_implementation_of_another_name_would_serve_a_queue_that_nobody_sends_to() -> None:
    with pytest.raises(ContractError, match="is named 'hello', but its contract .* is named 'greet'"):
        check(implementation(contract("whom"), "whom", name="hello"))


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
        ("a, b", "a, b, /", "'a' parameter is positional only"),
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
    assert problem in str(refused.value)


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
    with pytest.raises(TypeError, match="'whom' parameter is positional only"):
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
