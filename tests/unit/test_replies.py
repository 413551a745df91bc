"""The queue for results that a process has, and when it has another one."""

import sys
import threading
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from types import SimpleNamespace
from typing import Any

import celery
import pytest

from celery_delivery.results import replies
from celery_delivery.results.replies import FORMER, ReplyBackend
from tests.waiting import wait_until


@pytest.fixture
def backend() -> ReplyBackend:
    return ReplyBackend(celery.Celery("nowhere", broker="memory://", backend="rpc://"))


def test_a_queue_that_was_declared_is_left_when_its_connection_is_lost_and_read_on(backend: ReplyBackend) -> None:
    named = backend.binding.name
    backend.renew(named)
    assert backend.oid != named
    assert backend.expects(named)


def test_a_queue_that_was_never_declared_is_kept(backend: ReplyBackend) -> None:
    named = backend.oid
    backend.renew(named)
    assert backend.oid == named


def test_connections_that_are_lost_again_and_again_drop_no_queue_that_a_task_names(backend: ReplyBackend) -> None:
    named = backend.binding.name
    backend.renew(named)
    for _ in range(2 * FORMER):
        backend.renew(backend.newest.name)
    assert backend.queues[0].name == named
    assert len(backend.queues) == 2


def test_at_the_end_queues_are_deleted_that_no_task_named_and_are_read_no_more(
    backend: ReplyBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    deleted: list[str] = []

    class Producer:
        def delete(self, queues: Sequence[str]) -> None:
            deleted.extend(queues)

    pool = SimpleNamespace(acquire=lambda **_: nullcontext(Producer()))
    monkeypatch.setattr(backend.app, "amqp", SimpleNamespace(producer_pool=pool))
    unnamed = backend.newest.name
    backend.renew(unnamed)
    last = backend.binding.name
    backend.leave_broker()
    assert deleted == [last, unnamed]


@pytest.mark.parametrize(
    "name", [lambda backend: backend.binding.name, lambda backend: backend.oid], ids=["binding", "oid"]
)
def test_a_queue_that_one_thread_names_is_read_after_another_has_lost_its_connection(
    backend: ReplyBackend, name: Callable[[ReplyBackend], str]
) -> None:
    given: list[str] = []
    first = backend.newest.name
    asking = threading.Thread(target=lambda: given.append(name(backend)))
    with backend.lock:
        asking.start()
        wait_until(lambda: _is_in(asking, replies.__file__), 10, "the other thread asks for the queue")
        backend.renew(first)
    asking.join()
    backend.renew(backend.newest.name)
    assert backend.expects(given[0])


def test_a_queue_that_another_thread_leaves_while_the_broker_is_asked_is_no_error(
    backend: ReplyBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    consumer = backend.result_consumer
    reading = consumer._reading

    def left_meanwhile() -> Any:
        connection = reading()
        backend.renew(backend.newest.name)
        return connection

    monkeypatch.setattr(consumer, "_reading", left_meanwhile)
    assert backend.get_state("a task of another") == "PENDING"


def test_a_queue_that_was_declared_while_another_thread_asked_for_it_is_replaced_when_it_is_lost(
    monkeypatch: pytest.MonkeyPatch, backend: ReplyBackend
) -> None:
    first = backend.binding.name
    queues = ReplyBackend.queues

    def renew() -> None:
        backend.renew(first)
        assert backend.binding.name != first

    renewing = threading.Thread(target=renew)

    def slowly(self: ReplyBackend) -> Any:
        found = queues.fget(self)  # type: ignore[attr-defined]
        if threading.current_thread() is not renewing and not renewing.ident:
            renewing.start()
            wait_until(
                lambda: not renewing.is_alive() or _is_in(renewing, replies.__file__),
                10,
                "the other thread has renewed it, or waits for its turn",
            )
        return found

    monkeypatch.setattr(ReplyBackend, "queues", property(slowly))
    assert backend.newest.name == first
    renewing.join()
    second = backend.queues[-1].name
    backend.renew(second)
    assert backend.queues[-1].name != second


def _is_in(thread: threading.Thread, file: str) -> bool:
    """Say whether a thread waits in a function of a file."""
    frame = sys._current_frames().get(thread.ident or 0)
    return frame is not None and frame.f_code.co_filename == file
