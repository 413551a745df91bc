"""Which consumer and which pool of processes an app's worker has, by the app's own settings."""

from __future__ import annotations

from typing import Any

from celery import Celery
from celery.concurrency import prefork
from celery.worker.consumer import Consumer as StockConsumer

from agent.guest.work.stock import MendedConsumer, MendedPool, consumer_of, pool_of
from celery_delivery.worker.pool import PatientPool


class OwnConsumer(StockConsumer):
    """A project's own consumer."""


class OwnPool(prefork.TaskPool):
    """A project's own pool of processes."""


def steps(consumer: Any) -> list[str]:
    """Return the names of a consumer's steps."""
    return [each if isinstance(each, str) else each.__name__ for each in consumer.Blueprint().default_steps]


def test_celery_s_own_consumer_is_mended_and_keeps_all_of_its_steps() -> None:
    consumer = consumer_of(Celery("proj", set_as_current=False).conf.worker_consumer)
    assert consumer is MendedConsumer
    stock = steps(StockConsumer)
    assert steps(consumer) == [*stock, "ReadyFirst", "WakeOnSignal"]
    assert any(step.endswith(":DelayedDelivery") for step in stock)


def test_what_becomes_of_a_message_that_is_no_task_stays_celery_s() -> None:
    for name in ("on_decode_error", "on_invalid_task", "on_unknown_task"):
        assert getattr(MendedConsumer, name) is getattr(StockConsumer, name)


def test_a_consumer_of_the_project_s_own_stays_as_it_is() -> None:
    assert consumer_of(OwnConsumer) is OwnConsumer


def test_celery_s_own_pool_is_mended_and_has_no_time_limit_of_ours() -> None:
    assert pool_of("prefork") is MendedPool
    assert pool_of("celery.concurrency.prefork:TaskPool") is MendedPool
    assert MendedPool.Pool is PatientPool
    assert MendedPool.on_start is prefork.TaskPool.on_start


def test_a_pool_of_the_project_s_own_stays_and_one_of_another_kind_does_not() -> None:
    assert pool_of(OwnPool) is OwnPool
    assert pool_of("gevent") is MendedPool, "and nothing of gevent is imported"
    assert pool_of("celery.concurrency.solo:TaskPool") is MendedPool
