"""What is said of entries before anything is sent by them."""

from __future__ import annotations

import sys
from collections.abc import Callable
from datetime import timedelta
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


@pytest.fixture
def app(monkeypatch: pytest.MonkeyPatch) -> Any:
    """The app of one task class."""
    monkeypatch.setenv("RABBITMQ_HOST", "127.0.0.1")
    return create_app_from([Tick], "celery_tasks.celery_config")


@pytest.fixture
def named(monkeypatch: pytest.MonkeyPatch) -> Callable[[object], str]:
    """Return a function that returns the name of entries."""

    def name(entries: object) -> str:
        module = ModuleType("entries_of_a_test")
        vars(module)["ENTRIES"] = entries
        monkeypatch.setitem(sys.modules, module.__name__, module)
        return f"{module.__name__}:ENTRIES"

    return name


@pytest.fixture
def told(app: Any, named: Callable[[object], str]) -> Told:
    """Return a function that returns what is wrong with entries."""

    def tell(entries: object) -> list[str]:
        lines: list[Any] = []
        examine(named(entries), {"tick": app}, lines.append)
        return [line["problem"]["text"] for line in lines if "problem" in line]

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


def test_each_entry_that_is_wrong_is_told(told: Told) -> None:
    wrong = {"task": "tock", "schedule": 5}
    assert len(told({"a": wrong, "b": wrong})) == 2


def test_a_scheduler_of_others_is_taken_as_it_is(app: Any, named: Callable[[object], str], told: Told) -> None:
    class Others(celery.beat.Scheduler):
        """Keeps its entries elsewhere."""

    assert told(Others) == []
    assert scheduler_of(named(Others), app) is Others
