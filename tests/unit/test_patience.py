"""Limits beside the patience of the broker: whose limit counts, and what is told where it is too high."""

from __future__ import annotations

import json
from typing import Any

import pytest
from celery import Celery
from kombu import Queue

from agent.config.discovery import Patience
from agent.guest.answer.patience import patience
from agent.operate.patience import overruns

LATE = {"acks_late": True}
REDIS: dict[str, Any] = {"broker_url": "redis://localhost"}
QUORUM = {"x-queue-type": "quorum"}
LONG = "its task a is acked late with a time limit above "
WAITS = "a: may wait in a worker, for a retry or by the schedule, for longer than "
SEEN_AGAIN = "Redis gives what is not acked for "


def nothing() -> None:
    """Be what a decorator makes a task of."""


def told(
    task: dict[str, Any], env: float | None = None, arguments: dict[str, Any] | None = None, **settings: Any
) -> list[str]:
    """Return what is told of the one task "a" of an app on the queue "q", with TIME_LIMIT in the env file."""
    app = Celery("proj", set_as_current=False)
    app.conf.update(
        {"broker_url": "amqp://localhost", "task_queues": [Queue("q", queue_arguments=arguments)], **settings}
    )
    app.task(nothing, name="a", shared=False, **task)
    app.finalize()
    found = json.loads(json.dumps(patience("q", [app.tasks["a"]], app)))
    lists = {name: tuple(map(tuple, found[name])) for name in ("late", "waits")}
    return list(overruns([Patience(**{**found, **lists})], {"q": env}))


@pytest.mark.parametrize(
    ("own", "env", "app", "line"),
    [
        (None, None, None, None),
        (None, None, 1800, None),
        (None, None, 1801, LONG),
        (None, 1801, None, LONG),
        (None, 1801, 60, LONG),  # the env file wins over the app
        (None, 60, 1801, None),
        (1801, 60, 60, LONG),  # the task's own wins over both
        (60, 1801, 1801, None),
    ],
)
def test_the_limit_in_effect_is_the_task_s_own_else_the_env_file_s_else_the_app_s(
    own: float | None, env: float | None, app: float | None, line: str | None
) -> None:
    said = told({**LATE, "time_limit": own}, env, task_time_limit=app)
    assert [each.partition("1800 s, RabbitMQ's consumer_timeout")[0] for each in said] == [line] * bool(line)
    seconds: dict[str, Any] = {"broker_transport_options": {"visibility_timeout": 1800}}
    (said_of_redis,) = told({**LATE, "time_limit": own}, env, task_time_limit=app, **seconds, **REDIS)
    assert ("its task a is allowed to run longer" in said_of_redis) == bool(line)


def test_a_task_that_is_acked_early_may_take_as_long_as_it_likes() -> None:
    assert told({"time_limit": 9999}, 9999, task_time_limit=9999) == []


def test_a_queue_s_own_timeout_counts() -> None:
    (line,) = told(LATE, 61, {"x-consumer-timeout": 60_000})
    assert line.startswith(f"{LONG}60 s, RabbitMQ's consumer_timeout: ")
    assert told(LATE, 1900, {"x-consumer-timeout": 2_000_000}) == []


@pytest.mark.parametrize(
    ("task", "settings", "is_told"),
    [
        ({}, {}, False),
        ({"default_retry_delay": 1800}, {}, False),
        ({"default_retry_delay": 1801}, {}, True),
        ({"retry_backoff": 1, "retry_backoff_max": 7200}, {}, False),  # three retries come to 4 s
        ({"retry_backoff": 1, "retry_backoff_max": 7200, "max_retries": 20}, {}, True),
        ({"retry_backoff": True, "retry_backoff_max": 7200, "max_retries": None}, {}, True),
        ({}, {"beat_schedule": {"x": {"task": "a", "schedule": 60, "options": {"countdown": 7200}}}}, True),
        ({}, {"beat_schedule": {"x": {"task": "b", "schedule": 60, "options": {"countdown": 7200}}}}, False),
    ],
)
def test_a_wait_that_is_known_counts_where_a_worker_holds_what_waits(
    task: dict[str, Any], settings: dict[str, Any], is_told: bool
) -> None:
    assert [line.startswith(f"{WAITS}1800 s") for line in told(task, **settings)] == [True] * is_told
    assert told(task, None, QUORUM, **settings) == []  # there the broker holds it
    timeout: dict[str, Any] = {"broker_transport_options": {"visibility_timeout": 1800}}
    (line,) = told(task, **settings, **timeout, **REDIS)
    assert ("a, which may wait longer for a retry or by the schedule" in line) == is_told


def test_redis_is_told_to_give_what_takes_long_to_another_worker() -> None:
    (line,) = told(LATE, **REDIS)
    assert line.startswith(
        f"{SEEN_AGAIN}3600 s to another worker (visibility_timeout): a task that is acked late and runs "
    )
    (line,) = told(LATE, **REDIS, task_time_limit=90, broker_transport_options={"visibility_timeout": 60})
    assert line.startswith(
        f"{SEEN_AGAIN}60 s to another worker (visibility_timeout): its task a is allowed to run longer, and "
    )


def test_queues_of_one_patience_are_told_of_in_one_line() -> None:
    late = (("b", None), ("c", None))
    many = [
        Patience("x", True, False, 1800.0, None, 2, (("a", 2000.0),), ()),
        Patience("y", True, False, 1800.0, None, 3, late, ()),
        Patience("of a contract", False, False, 1800.0, None, 1, (("d", 2000.0),), ()),
    ]
    app, contract = overruns(many, {"y": 1900.0})
    assert app.startswith("3 of 5 tasks (a, b, c) are acked late with a time limit above 1800 s, ")
    assert contract.startswith("its task d is acked late with a time limit above 1800 s, ")
    assert "in the contract" in contract
