"""Whether a task may wait for another, where threads and coroutines of one process allow it at overlapping times."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from types import SimpleNamespace

import celery
import pytest
from celery import _state
from celery.backends import rpc
from celery.concurrency.thread import TaskPool
from celery.result import allow_join_result, assert_will_not_block, denied_join_result

from celery_delivery.worker.consumer import Consumer

pytestmark = pytest.mark.celery


@pytest.fixture(autouse=True)
def _worker() -> Iterator[None]:
    """This process is a worker's, as Celery's own step for the pool leaves it."""
    app = celery.Celery("nobody", broker="memory://", set_as_current=False)
    Consumer(lambda _request: None, pool=TaskPool(1), app=app, controller=SimpleNamespace(use_eventloop=False))
    _state._set_task_join_will_block(True)
    yield
    _state._set_task_join_will_block(False)


def may_wait() -> bool:
    try:
        assert_will_not_block()
    except RuntimeError:
        return False
    return rpc.task_join_will_block() is _state.task_join_will_block() is False


@contextmanager
def threads() -> Iterator[list[ThreadPoolExecutor]]:
    """Each is one thread."""
    with ExitStack() as stack:
        yield [stack.enter_context(ThreadPoolExecutor(1)) for _ in range(2)]


def test_threads_that_allow_it_at_overlapping_times_leave_nothing_behind() -> None:
    with threads() as (one, other):
        first, second = allow_join_result(), allow_join_result()
        one.submit(first.__enter__).result()
        assert not other.submit(may_wait).result()
        other.submit(second.__enter__).result()
        assert [each.submit(may_wait).result() for each in (one, other)] == [True, True]
        one.submit(first.__exit__, None, None, None).result()
        assert [each.submit(may_wait).result() for each in (one, other)] == [False, True]
        other.submit(second.__exit__, None, None, None).result()
        assert [each.submit(may_wait).result() for each in (one, other)] == [False, False]
    assert not may_wait()


def test_coroutines_of_one_thread_have_each_their_own() -> None:
    async def main() -> list[bool]:
        entered, looked = asyncio.Event(), asyncio.Event()

        async def allowing() -> bool:
            with allow_join_result():
                entered.set()
                await looked.wait()
                return may_wait() and await asyncio.to_thread(may_wait)

        async def beside() -> bool:
            await entered.wait()
            found = may_wait()
            looked.set()
            return found

        return list(await asyncio.gather(allowing(), beside()))

    assert asyncio.run(main()) == [True, False]


def test_what_is_within_something_else_is_undone_in_order() -> None:
    with allow_join_result():
        with denied_join_result():
            assert not may_wait()
            with allow_join_result():
                assert may_wait()
            assert not may_wait()
        assert may_wait()
    assert not may_wait()


def test_a_process_that_is_no_worker_s_may_wait() -> None:
    _state._set_task_join_will_block(False)
    assert may_wait()
