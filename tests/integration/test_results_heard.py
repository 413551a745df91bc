"""A result in Redis is heard of, whenever it comes: while its subscription is under way, and while the connection is lost."""

from __future__ import annotations

import threading
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from queue import SimpleQueue
from typing import Any

import pytest
from celery import Celery
from celery.backends.redis import ResultConsumer
from celery.result import AsyncResult
from celery.states import SUCCESS

from celery_delivery.results.backends import backend
from tests.integration.redis_path import path_to
from tests.redis import Redis
from tests.waiting import wait_until

pytestmark = pytest.mark.celery

THREADS = 30
PATIENCE = 30.0  # seconds; far above what anything takes here, and below the time limit of a test


def made(url: str) -> Any:
    """Return a backend as apps of contracts have it, and as queues with `make_safe`."""
    return backend(Celery(broker="memory://", backend=url, set_as_current=False))


@contextmanager
def workers(server: Redis) -> Iterator[Callable[[str], None]]:
    """Yield what has a task of an id end at once, elsewhere."""
    ended: SimpleQueue[str] = SimpleQueue()

    def work() -> None:
        store = made(server.url)
        while task_id := ended.get():
            store.store_result(task_id, task_id, SUCCESS)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    try:
        yield ended.put
    finally:
        for _ in threads:
            ended.put("")
        for thread in threads:
            thread.join()


def test_a_result_is_heard_of_that_comes_before_its_subscription_has_arrived(redis_server: Redis) -> None:
    result, asking, asked = f"{uuid.uuid4()}", set(), threading.Event()
    with workers(redis_server) as end:

        def sent(connection: int, text: bytes) -> None:
            if b"SUBSCRIBE" in text and result.encode() in text:
                assert asked.wait(PATIENCE)
                end(result)
                wait_until(lambda: made(redis_server.url).get_state(result) == SUCCESS, PATIENCE, "it has ended")
            elif b"GET" in text and result.encode() in text:
                asking.add(connection)

        def answered(connection: int, _text: bytes) -> None:
            if connection in asking:
                asked.set()

        with path_to(redis_server, sent, answered) as url:
            assert AsyncResult(result, backend=made(url)).get(timeout=PATIENCE) == result


def test_a_result_is_heard_of_that_another_thread_is_about_to_subscribe_to(
    redis_server: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    subscribe, asked, is_slow = ResultConsumer.consume_from, threading.Event(), threading.Event()
    shared = made(redis_server.url)
    result, other = (AsyncResult(f"{uuid.uuid4()}", backend=shared) for _ in range(2))
    find = shared.get_task_meta

    def slowly(self: Any, task_id: str) -> Any:
        if task_id == result.id and not is_slow.is_set():
            is_slow.set()
            asked.wait(2)  # a thread may be suspended here for as long as it likes
            end(result.id)
            wait_until(lambda: made(redis_server.url).get_state(result.id) == SUCCESS, PATIENCE, "it has ended")
        return subscribe(self, task_id)

    def ask(task_id: str, **options: Any) -> Any:
        meta = find(task_id, **options)
        if task_id == result.id:
            asked.set()
        return meta

    monkeypatch.setattr(ResultConsumer, "consume_from", slowly)
    monkeypatch.setattr(shared, "get_task_meta", ask)
    with workers(redis_server) as end, ThreadPoolExecutor(2) as threads:
        shared.add_pending_result(result)  # as `get` does first
        waiting = threads.submit(other.get, timeout=PATIENCE)
        assert is_slow.wait(PATIENCE)  # the other thread subscribes for this one
        assert result.get(timeout=PATIENCE) == result.id
        end(other.id)
        assert waiting.result() == other.id


@pytest.mark.parametrize(
    "is_shared", [False, True], ids=lambda is_shared: "shared" if is_shared else "one for each thread"
)
def test_threads_hear_of_all_results_while_connections_are_lost(
    redis_server: Redis, request: pytest.FixtureRequest, is_shared: bool
) -> None:
    shared, turns, is_over = made(redis_server.url), int(request.config.getoption("--turns")), threading.Event()

    def many(_number: int) -> int:
        store = shared if is_shared else made(redis_server.url)
        return sum(got(store) for _ in range(turns))

    def got(store: Any) -> bool:
        result = AsyncResult(f"{uuid.uuid4()}", backend=store)
        end(result.id)
        return bool(result.get(timeout=PATIENCE) == result.id)

    def cut() -> None:
        with redis_server.client() as client:
            while not is_over.wait(0.2):
                client.client_kill_filter(_type="pubsub")

    with workers(redis_server) as end, ThreadPoolExecutor(THREADS + 1) as threads:
        cutting = threads.submit(cut)
        try:
            assert sum(threads.map(many, range(THREADS))) == THREADS * turns
        finally:
            is_over.set()
        cutting.result()
