"""What may stand as `run` in an implementation, and what would never be run."""

from __future__ import annotations

import functools
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import celery
import pytest

from celery_delivery.apps import create_app_from
from celery_delivery.errors import ContractError
from celery_delivery.testing import End, StubBroker
from tests.unit.contracts import check, contract, implementation


def test_a_run_without_self_is_no_implementation() -> None:
    def run() -> None: ...

    with pytest.raises(ContractError, match="contracts:ActualGreet.run takes no self"):
        check(implementation(contract(""), "", run=run))


def _generator(self: celery.Task) -> Iterator[int]:
    yield 1


async def _async_generator(self: celery.Task) -> AsyncIterator[int]:
    yield 1


@pytest.mark.parametrize("run", [_generator, _async_generator])
def test_what_a_worker_would_never_run_is_no_implementation(run: Callable[..., Any]) -> None:
    with pytest.raises(
        ContractError, match=r"ActualGreet.run is a generator, whose body no worker would run: use return"
    ):
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
    with pytest.raises(ContractError, match=r"contracts:ActualGreet.run (is|takes no self).*: define it "):
        check(implementation(contract("whom"), "", run=run))
