"""The queue for results that a process has, and when it has another one."""

from collections.abc import Sequence
from contextlib import nullcontext
from types import SimpleNamespace

import celery
import pytest

from celery_delivery.results.replies import FORMER, ReplyBackend


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
