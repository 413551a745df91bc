"""Which consumer and which pool of processes an app's worker has, by the app's own settings."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest
from celery import Celery
from celery.concurrency import prefork
from celery.worker.consumer import Consumer as StockConsumer

from agent.guest.work.stock import LimitedConsumer, MendedConsumer, consumer_of, limit, pool_of
from celery_delivery.worker.pool import MendedPool, PatientPool
from tests.unit.specs import SPEC


class OwnConsumer(StockConsumer):
    """A project's own consumer."""


class OwnPool(prefork.TaskPool):
    """A project's own pool of processes."""


def nothing() -> None:
    """Be what a decorator makes a task of."""


def steps(consumer: Any) -> list[str]:
    """Return the names of a consumer's steps."""
    return [each if isinstance(each, str) else each.__name__ for each in consumer.Blueprint().default_steps]


def test_celery_s_own_consumer_is_mended_and_keeps_all_of_its_steps() -> None:
    consumer = consumer_of(Celery("proj", set_as_current=False).conf.worker_consumer, SPEC)
    assert consumer is MendedConsumer
    stock = steps(StockConsumer)
    assert steps(consumer) == [*stock, "ReadyFirst", "WakeOnSignal"]
    assert any(step.endswith(":DelayedDelivery") for step in stock)


def test_a_limit_of_the_env_file_is_held_against_what_messages_ask_for() -> None:
    for spec in (replace(SPEC, time_limit=1.0), replace(SPEC, soft_time_limit=1.0)):
        assert consumer_of("celery.worker.consumer:Consumer", spec) is LimitedConsumer
    assert not MendedConsumer.holds_limits


@pytest.mark.parametrize(
    ("env", "app", "own", "left"),
    [
        ((2, None), (600, None), (None, None), (None, None)),
        ((2, None), (600, None), (300, None), (300, None)),
        ((2, None), (600, 500), (None, None), (None, None)),  # the app's soft limit would be above the hard one
        ((600, None), (800, 500), (None, None), (None, 500)),
        ((None, 5), (800, 500), (None, None), (800, None)),
        ((None, 5), (800, 500), (None, 7), (800, 7)),
    ],
)
def test_limits_of_the_app_s_settings_give_way_and_a_task_s_own_stay(
    env: tuple[Any, Any], app: tuple[Any, Any], own: tuple[Any, Any], left: tuple[Any, Any]
) -> None:
    project = Celery("proj", set_as_current=False, task_time_limit=app[0], task_soft_time_limit=app[1])
    task = project.task(nothing, name="a", shared=False, time_limit=own[0], soft_time_limit=own[1])
    project.finalize()
    worker = SimpleNamespace(app=project, soft_time_limit=app[1])
    limit(worker, replace(SPEC, time_limit=env[0], soft_time_limit=env[1]))
    assert (task.time_limit, task.soft_time_limit) == left


def test_what_becomes_of_a_message_that_is_no_task_stays_celery_s() -> None:
    for name in ("on_decode_error", "on_invalid_task", "on_unknown_task"):
        assert getattr(MendedConsumer, name) is getattr(StockConsumer, name)


def test_a_consumer_of_the_project_s_own_stays_as_it_is() -> None:
    assert consumer_of(OwnConsumer, SPEC) is OwnConsumer


def test_celery_s_own_pool_is_mended_and_has_no_time_limit_of_ours() -> None:
    assert pool_of("prefork") is MendedPool
    assert pool_of("celery.concurrency.prefork:TaskPool") is MendedPool
    assert MendedPool.Pool is PatientPool
    assert MendedPool.on_start is prefork.TaskPool.on_start


def test_a_pool_of_the_project_s_own_stays_and_one_of_another_kind_does_not() -> None:
    assert pool_of(OwnPool) is OwnPool
    assert pool_of("gevent") is MendedPool, "and nothing of gevent is imported"
    assert pool_of("celery.concurrency.solo:TaskPool") is MendedPool
