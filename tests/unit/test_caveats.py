"""What does not hold for an app as it is."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from celery import Celery
from kombu import Queue
from kombu.common import Broadcast

from agent.guest.answer.caveats import caveats, own_pool, unsent
from agent.guest.answer.routes import routing

LATE = {"acks_late": True, "reject_on_worker_lost": True}
DEAD = {"x-dead-letter-exchange": "dead"}


def nothing() -> None:
    """Be what a decorator makes a task of."""


def made(tasks: dict[str, dict[str, Any]], **settings: Any) -> Any:
    app = Celery("proj", set_as_current=False)
    app.conf.update({"broker_url": "amqp://localhost", **settings})
    for name, options in tasks.items():
        app.task(nothing, name=name, shared=False, **options)
    app.finalize()
    return app


def told(tasks: dict[str, dict[str, Any]], **settings: Any) -> list[str]:
    app = made(tasks, **settings)
    found = routing(app)
    for queue in found.queues:
        app.amqp.queues[queue].queue_arguments = DEAD
    return list(caveats("proj:app", app, found.queues))


def test_of_an_app_that_does_all_that_can_be_done_nothing_is_told() -> None:
    assert told({"a": LATE, "b": LATE}) == []


def test_an_app_without_tasks_is_told() -> None:
    (line,) = told({})
    assert line.startswith("proj:app has no task: name their modules in `include` or `imports`")


def test_a_task_that_would_never_be_run_is_told() -> None:
    def count() -> Iterator[int]:
        yield 1

    app = made({})
    app.task(count, name="count", shared=False, **LATE)
    assert next(caveats("proj:app", app, {"celery": ["count"]})) == (
        "count: a generator, whose body no worker would run: use return, not yield."
    )


@pytest.mark.parametrize(
    ("tasks", "line"),
    [
        ({"a": {}}, "its task a is acked early: what a worker that is killed was running is lost. "),
        ({"a": {}, "b": {}}, "all 2 tasks are acked early: "),
        ({"a": {}, "b": LATE}, "1 of 2 tasks (a) is acked early: "),
        ({**{name: {} for name in "abcd"}, "e": LATE}, "4 of 5 tasks (a, b, c and 1 more) are acked early: "),
        ({"a": {"acks_late": True}}, "its task a is acked late without task_reject_on_worker_lost: "),
    ],
)
def test_what_may_be_lost_is_told_once_for_all_tasks(tasks: dict[str, dict[str, Any]], line: str) -> None:
    (said,) = told(tasks)
    assert said.startswith(line)


@pytest.mark.parametrize(
    ("settings", "line"),
    [
        ({"task_always_eager": True}, "task_always_eager is True: tasks are not sent at all"),
        ({"result_backend": "rpc://"}, "result_backend is rpc: "),
        ({"worker_state_db": "/srv/state"}, "worker_state_db is not used"),
        ({"worker_consumer": "proj:Consumer"}, "worker_consumer is proj:Consumer: the faults of Celery's consumer"),
    ],
)
def test_a_setting_that_weakens_or_is_not_used_is_told(settings: dict[str, Any], line: str) -> None:
    (said,) = told({"a": LATE}, **settings)
    assert said.startswith(line)


def test_a_schedule_that_is_not_sent_is_told() -> None:
    (said,) = unsent("proj:app", made({"a": LATE}, beat_schedule={"x": {}}))
    assert said.startswith(
        "it has a beat schedule (1 entry), which this instance does not send: set CELERY_AGENT_SCHEDULE=app"
    )
    assert not list(unsent("proj:app", made({"a": LATE})))


def test_a_queue_without_dead_letters_is_told() -> None:
    app = made({"a": LATE})
    (said,) = caveats("proj:app", app, routing(app).queues)
    assert said.startswith("celery: no dead-letter queue, unless a policy of the broker gives one: ")


def test_a_queue_with_a_single_active_consumer_is_told_what_that_does_not_keep() -> None:
    arguments = {"x-single-active-consumer": True, "x-dead-letter-exchange": "dead"}
    app = made({"a": LATE}, task_queues=[Queue("celery", queue_arguments=arguments)])
    (said,) = caveats("proj:app", app, routing(app).queues)
    assert said.startswith("celery: x-single-active-consumer does not keep tasks from running at once: ")


def test_a_broadcast_queue_on_redis_is_told() -> None:
    queues = {"task_queues": [Queue("celery"), Broadcast("everybody")]}
    app = made({"a": LATE}, broker_url="redis://localhost", **queues)
    (said,) = caveats("proj:app", app, routing(app).queues)
    assert said.startswith("everybody: nothing comes to a broadcast queue on Redis")
    app = made({"a": LATE}, **queues)
    assert not any("broadcast" in line for line in caveats("proj:app", app, routing(app).queues))


def test_a_pool_that_the_app_says_nothing_of_is_none() -> None:
    assert own_pool(made({})) == {"pool": None, "concurrency": None}
    assert own_pool(made({}, worker_pool="celery_delivery.worker.pool:TaskPool"))["pool"] is None
    assert own_pool(made({}, worker_pool="threads", worker_concurrency=8)) == {"pool": "threads", "concurrency": 8}
