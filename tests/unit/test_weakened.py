"""What a task class says that takes away from the promise of the profile `safe` is named, with what comes of it."""

from __future__ import annotations

from typing import Any

import celery
import pytest

from celery_delivery.apps import create_app_from
from celery_delivery.settings.weakened import weakened

SETTINGS = "celery_tasks.celery_config"


def said(attribute: str, value: Any) -> tuple[str, ...]:
    task = type("Own", (celery.Task,), {"name": "own", "run": lambda self: None, attribute: value})
    return weakened(create_app_from([task], SETTINGS).conf, [task])


@pytest.mark.parametrize(
    ("attribute", "value", "loss"),
    [
        ("acks_late", False, "a worker that is killed loses"),
        ("autoretry_for", (BaseException,), "what tells its worker to stop"),
        ("autoretry_for", (ValueError, SystemExit), "what tells its worker to stop"),
        ("rate_limit", "1/h", "what is over it waits in the worker"),
        ("serializer", "pickle", "only JSON is accepted"),
        ("typing", False, "wrong arguments are sent"),
    ],
)
def test_what_weakens_the_promise_is_named(attribute: str, value: object, loss: str) -> None:
    (text,) = said(attribute, value)
    assert text.startswith(f"Own.{attribute} is {value!r}")
    assert loss in text


@pytest.mark.parametrize(
    ("attribute", "value"),
    [
        ("ignore_result", True),
        ("acks_on_timeout", True),  # docs/delivery.md offers it
        ("max_retries", None),
        ("autoretry_for", (Exception,)),
        ("serializer", "json"),
        ("rate_limit", None),
    ],
)
def test_what_does_not_is_not(attribute: str, value: object) -> None:
    assert said(attribute, value) == ()


def test_what_all_tasks_lose_by_a_setting_is_named() -> None:
    task = type("Own", (celery.Task,), {"name": "own", "run": lambda self: None})
    app = create_app_from([task], SETTINGS)
    app.conf.task_acks_on_timeout = True
    (text,) = weakened(app.conf, [task])
    assert text.startswith(
        "task_acks_on_timeout is True, and safe needs False: a task that is killed by its time limit"
    )
