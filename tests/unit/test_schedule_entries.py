"""What is said of entries before anything is sent by them."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from types import ModuleType
from typing import Any

import celery
import celery.beat
import pytest
from celery.schedules import crontab

from agent.guest.answer.timetable import examine
from agent.guest.schedule.entries import scheduler_of
from celery_delivery.apps import create_app_from

Told = Callable[[object], list[str]]


class Tick(celery.Task):
    name = "tick"

    def run(self, ledger: str) -> None:
        """Do nothing."""


@dataclass
class Order:
    """What is bought."""

    item: str
    count: int


class Buy(celery.Task):
    name = "buy"

    def run(self, order: Order, until: datetime | None = None) -> None:
        """Do nothing."""


@pytest.fixture
def app(monkeypatch: pytest.MonkeyPatch) -> Any:
    """The app of one task class."""
    monkeypatch.setenv("RABBITMQ_HOST", "127.0.0.1")
    return create_app_from([Tick], "celery_tasks.celery_config")


@pytest.fixture
def buying(app: Any, named: Callable[[object], str]) -> Told:
    """Return a function that returns what is wrong with entries whose task has annotations."""
    assert app
    return lambda entries: faults(named(entries), {"buy": create_app_from([Buy], "celery_tasks.celery_config")})


def never() -> None:
    """Fail: a check has no business to call it."""
    raise AssertionError


@pytest.fixture
def named(monkeypatch: pytest.MonkeyPatch) -> Callable[[object], str]:
    """Return a function that returns the name of entries."""

    def name(entries: object) -> str:
        module = ModuleType("entries_of_a_test")
        vars(module)["ENTRIES"] = entries
        monkeypatch.setitem(sys.modules, module.__name__, module)
        return f"{module.__name__}:ENTRIES"

    return name


def faults(name: str, apps: dict[str, Any]) -> list[str]:
    lines: list[Any] = []
    examine(name, apps, lines.append)
    return [line["problem"]["text"] for line in lines if "problem" in line]


@pytest.fixture
def told(app: Any, named: Callable[[object], str]) -> Told:
    """Return a function that returns what is wrong with entries."""

    def tell(entries: object) -> list[str]:
        return faults(named(entries), {"tick": app})

    return tell


@pytest.mark.parametrize(
    ("entries", "said"),
    [
        ({}, "it has no entry"),
        (None, "that is a NoneType, and no dict of entries, nor a class of Celery's schedulers"),
        ({"a": 5}, "entry 'a': it is a int, and must be a dict with 'task' and 'schedule'"),
        ({"a": {"schedule": 5}}, "entry 'a': it has no 'task'"),
        ({"a": {"task": "tick"}}, "entry 'a': it has no 'schedule'"),
        (
            {"a": {"task": "tick", "schedule": "5"}},
            "entry 'a': its schedule is '5', and must be seconds, a timedelta, a crontab",
        ),
        ({"a": {"task": "tick", "schedule": 0}}, "entry 'a': its schedule is 0 s, and 0.1 s is the shortest"),
        ({"a": {"task": 5, "schedule": 5}}, "entry 'a': its task is 5, and must be a task or the name of one"),
        ({"a": {"task": "tick", "schedule": 5, "arg": []}}, "entry 'a': nothing is known of 'arg'"),
        ({"a": {"task": "tick", "schedule": 5, "args": "/x"}}, "entry 'a': its args is '/x', and must be a list"),
        ({"a": {"task": "tick", "schedule": 5, "args": []}}, "entry 'a': its arguments do not fit the task: tick"),
        ({"a": {"task": "tock", "schedule": 5}}, "entry 'a': There is no task 'tock'"),
        (
            {"a": {"task": "tick", "schedule": 5, "args": ["/x"], "options": {"missed": "never"}}},
            "entry 'a': its option missed is 'never', but must be one of: once, skip, all",
        ),
    ],
)
def test_what_is_wrong_with_an_entry_is_one_line(entries: object, said: str, told: Told) -> None:
    (line,) = told(entries)
    assert said in line


@pytest.mark.parametrize("schedule", [5, 0.5, timedelta(minutes=5), crontab(hour=3)])
def test_what_celery_takes_is_taken(schedule: object, told: Told) -> None:
    assert (
        told({"a": {"task": Tick, "schedule": schedule, "kwargs": {"ledger": ""}, "options": {"missed": "all"}}}) == []
    )


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"misse": "skip"}, "entry 'a': nothing is known of its option 'misse'. Did you mean 'missed'?"),
        ({"expire": 5}, "entry 'a': nothing is known of its option 'expire'. Did you mean 'expires'?"),
        (
            {"xyz": 5},
            "entry 'a': nothing is known of its option 'xyz'. There are countdown, expires, headers, missed, ",
        ),
        ({"args": []}, "entry 'a': nothing is known of its option 'args'."),
        ({"expires": "soon"}, "entry 'a': its option expires is 'soon', and must be seconds, or a datetime."),
        (
            {"expires": timedelta(1)},
            "its option expires is datetime.timedelta(days=1), and must be seconds, or a datetime.",
        ),
        ({"countdown": "5"}, "entry 'a': its option countdown is '5', and must be seconds."),
        ({"priority": "high"}, "entry 'a': its task has the priority 'high', which must be a number from 0 to 255."),
    ],
)
def test_an_option_that_nobody_takes_is_one_line(options: object, said: str, told: Told) -> None:
    (line,) = told({"a": {"task": "tick", "schedule": 5, "args": ["/x"], "options": options}})
    assert said in line


@pytest.mark.parametrize(
    "options",
    [
        {
            "missed": "all",
            "expires": 5,
            "queue": "tick",
            "priority": 5,
            "headers": {"a": 1},
            "time_limit": 5,
            "shadow": "x",
        },
        {"expires": datetime(2030, 1, 1, tzinfo=UTC), "serializer": "json", "compression": "gzip", "delivery_mode": 2},
        {"expires": "2030-01-01T00:00:00", "countdown": 0.5, "retry": True, "message_id": "5", "ignore_result": True},
    ],
)
def test_what_apply_async_takes_is_an_option(options: object, told: Told) -> None:
    assert told({"a": {"task": "tick", "schedule": 5, "args": ["/x"], "options": options}}) == []


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"args": ["beans"]}, "buy: argument 'order' is 'beans', and must be Order."),
        ({"args": [{"item": "beans"}]}, "buy: argument 'order'"),
        ({"args": [{"item": "beans", "count": "two"}]}, "must be int"),
        (
            {"kwargs": {"order": Order("beans", 2), "until": "soon"}},
            "buy: argument 'until' is 'soon', and must be datetime",
        ),
    ],
)
def test_a_value_that_does_not_fit_its_annotation_is_told(fields: Any, said: str, buying: Told) -> None:
    (line,) = buying({"a": {"task": "buy", "schedule": 5, **fields}})
    assert line.startswith("entry 'a': its arguments do not fit the task: ")
    assert said in line


@pytest.mark.parametrize(
    "fields",
    [
        {"args": [Order("beans", 2)]},
        {"args": [{"item": "beans", "count": 2}]},
        {"args": [Order("beans", 2), datetime(2030, 1, 1, tzinfo=UTC)]},
        {"kwargs": {"order": celery.beat.BeatLazyFunc(never)}},
    ],
)
def test_a_value_that_fits_its_annotation_is_taken(fields: Any, buying: Told) -> None:
    assert buying({"a": {"task": "buy", "schedule": 5, **fields}}) == []


def test_what_json_does_not_know_is_told(told: Told) -> None:
    (line,) = told({"a": {"task": "tick", "schedule": 5, "args": [object()]}})
    assert "entry 'a': its arguments do not fit the task: " in line
    assert "JSON" in line


def test_options_are_free_where_functions_of_the_app_route_by_them(app: Any, named: Callable[[object], str]) -> None:
    app.conf.task_routes = [lambda *_, **__: None]
    entries = {"a": {"task": "tick", "schedule": 5, "args": ["/x"], "options": {"tenant": 5}}}
    assert faults(named(entries), {"tick": app}) == []


def test_each_entry_that_is_wrong_is_told(told: Told) -> None:
    wrong = {"task": "tock", "schedule": 5}
    assert len(told({"a": wrong, "b": wrong})) == 2


def test_a_scheduler_of_others_is_taken_as_it_is(app: Any, named: Callable[[object], str], told: Told) -> None:
    class Others(celery.beat.Scheduler):
        """Keeps its entries elsewhere."""

    assert told(Others) == []
    assert scheduler_of(named(Others), app) is Others
