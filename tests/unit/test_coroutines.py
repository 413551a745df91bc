"""Tasks that are coroutines, without a worker: in a stub's queue, called directly, called eagerly."""

from __future__ import annotations

import asyncio
import contextvars
import functools
import gc
import multiprocessing
import os
import subprocess
import sys
import threading
import warnings
from collections.abc import Callable, Coroutine
from typing import Any

import pytest
from celery import current_task

from celery_delivery.apps import create_app_from
from celery_delivery.errors import TaskExit
from celery_delivery.testing import End, StubBroker
from tests.unit.contracts import check, contract, implementation

VARIABLE: contextvars.ContextVar[str] = contextvars.ContextVar("variable", default="nothing")
Run = Callable[..., Coroutine[Any, Any, Any]]


async def greet(self: Any, whom: str) -> str:
    await asyncio.sleep(0)
    return f"{self.name} {whom}"


def hosted(run: Any = greet, **attributes: Any) -> Any:
    task = implementation(contract("whom"), "", run=run, **attributes)
    check(task)
    return create_app_from([task], "celery_tasks.celery_config").tasks["greet"]


def worked(task: Any, *args: Any) -> tuple[End, Any]:
    """Return how a task ended in a worker, and what its caller gets."""
    with StubBroker() as broker:
        result = task.delay(*args)
        outcome = broker.work(task.app)[0]
        return outcome.end, result.get() if outcome.end is End.SUCCEEDED else outcome.error


def decorated(function: Run) -> Callable[..., Any]:
    @functools.wraps(function)
    def call(*args: Any) -> Any:
        return function(*args)

    return call


@pytest.mark.parametrize(
    "run", [greet, decorated(greet), functools.partialmethod(greet)], ids=["plain", "wraps", "partial"]
)
def test_a_coroutine_is_run_by_a_worker(run: Any) -> None:
    assert worked(hosted(run), "world") == (End.SUCCEEDED, "greet world")


def test_a_contract_may_be_a_coroutine_itself() -> None:
    agreed = contract("whom")
    agreed.run = greet
    assert worked(hosted(), "world") == (End.SUCCEEDED, "greet world")


def test_called_directly_it_is_run_and_where_a_loop_runs_it_is_awaited() -> None:
    async def seen(self: Any, whom: str) -> tuple[Any, bool]:
        await asyncio.sleep(0)
        return self.request.args, current_task.request.called_directly

    async def outside() -> Any:
        return await asyncio.gather(task("a"), task("b"))

    task = hosted(seen)
    assert task("world") == (("world",), True)
    assert asyncio.run(outside()) == [(("a",), True), (("b",), True)]
    assert not current_task


def test_called_eagerly_it_is_run_also_inside_another_one() -> None:
    async def outer(self: Any, whom: str) -> str:
        return f"{whom} {self.apply(('world',)).get() if whom == 'dear' else ''}"

    async def outside() -> Any:
        return task.apply(("dear",)).get()

    task = hosted(outer)
    assert task.apply(("dear",)).get() == asyncio.run(outside()) == "dear world "


def test_it_may_await_its_own_run() -> None:
    async def again(self: Any, whom: str) -> str:
        return whom if len(whom) > 2 else str(await self.run(whom + whom))

    assert worked(hosted(again), "a") == (End.SUCCEEDED, "aaaa")


def test_it_sees_the_variables_of_the_thread_that_waits_for_it() -> None:
    async def look(self: Any, whom: str) -> str:
        await asyncio.sleep(0)
        return VARIABLE.get()

    VARIABLE.set("something")
    assert worked(hosted(look), "world") == (End.SUCCEEDED, "something")


def test_what_it_leaves_running_goes_on_and_is_no_task_any_more() -> None:
    found: list[object] = []
    go = threading.Event()

    async def later() -> None:
        await asyncio.to_thread(go.wait)
        found.append(current_task.request.id if current_task else "no task")

    async def leave(self: Any, whom: str) -> str:
        self.left = asyncio.create_task(later())
        return whom

    async def settle(self: Any, whom: str) -> str:
        if whom == "world":
            return await leave(self, whom)
        go.set()
        await self.left
        return whom

    task = hosted(settle)
    assert worked(task, "world") == (End.SUCCEEDED, "world")
    assert worked(task, "end") == (End.SUCCEEDED, "end")
    assert found == ["no task"]


def test_asyncio_run_in_a_function_still_works() -> None:
    def run(self: Any, whom: str) -> Any:
        return asyncio.run(greet(self, whom))

    assert worked(hosted(run), "world") == (End.SUCCEEDED, "greet world")


def test_hooks_may_be_coroutines() -> None:
    called: list[str] = []

    async def hook(self: Any, *args: Any) -> None:
        await asyncio.sleep(0)
        called.append(self.request.id)

    hooks = dict.fromkeys(("before_start", "on_success", "after_return"), hook)
    assert worked(hosted(**hooks), "world") == (End.SUCCEEDED, "greet world")
    assert len(called) == 3
    assert len(set(called)) == 1


def test_autoretry_sees_what_it_raises() -> None:
    async def fail(self: Any, whom: str) -> None:
        raise OSError(whom)

    end, _ = worked(hosted(fail, autoretry_for=(OSError,)), "world")
    assert end is End.RETRIED


@pytest.mark.parametrize("own", ["asyncio.run", "returns", "awaits"])
def test_a_class_with_its_own_call_gets_the_coroutine(own: str) -> None:
    def runs(self: Any, *args: Any) -> Any:
        return asyncio.run(self.run(*args))

    def returns(self: Any, *args: Any) -> Any:
        return self.run(*args)

    async def awaits(self: Any, *args: Any) -> Any:
        return await self.run(*args)

    call = {"asyncio.run": runs, "returns": returns, "awaits": awaits}[own]
    assert worked(hosted(__call__=call), "world") == (End.SUCCEEDED, "greet world")


def test_what_would_end_the_loop_ends_only_its_task() -> None:
    async def leave(self: Any, whom: str) -> str:
        if whom == "child":
            await asyncio.create_task(exit_())
        elif whom == "itself":
            await exit_()
        return whom

    async def exit_() -> None:
        raise SystemExit(3)

    task = hosted(leave)
    for whom in ("child", "itself"):
        end, error = worked(task, whom)
        assert (end, type(error), str(error)) == (End.FAILED, TaskExit, "SystemExit(3)")
    assert worked(task, "world") == (End.SUCCEEDED, "world")


def test_a_function_that_returns_a_coroutine_has_failed_and_says_what_to_do() -> None:
    def run(self: Any, whom: str) -> Any:
        return greet(self, whom)

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        end, error = worked(hosted(run), "world")
        gc.collect()
    assert (end, str(error)) == (End.FAILED, "greet returned a coroutine: define it with async def, so that it is run")


def test_a_child_has_a_loop_of_its_own() -> None:
    task = hosted()
    assert task("world") == "greet world"
    with multiprocessing.get_context("fork").Pool(1) as pool:
        assert pool.apply_async(task, ("child",)).get(20) == "greet child"


def test_a_child_that_a_coroutine_forks_does_not_go_on_with_the_loop() -> None:
    async def fork(self: Any, whom: str) -> int:
        child = os.fork()
        await asyncio.sleep(0)
        return child

    task = hosted(fork)
    _, status = os.waitpid(task("world"), 0)
    assert os.waitstatus_to_exitcode(status) == 0


def test_a_task_that_is_a_function_imports_no_asyncio() -> None:
    code = (
        "import sys; from celery_delivery.apps import create_app_from; from celery_tasks.tasks import SleepTask\n"
        "create_app_from([SleepTask], 'celery_tasks.celery_config'); print('asyncio' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"
