"""The queue for results that a process has, and when it has another one."""

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
