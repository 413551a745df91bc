"""Options of a task class that Celery can't use: named with the class, before there is an app, a worker or a call."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from celery_delivery.apps import create_app_from
from celery_delivery.errors import ContractError
from tests.unit.contracts import check, contract, implementation

EXCEPTIONS = r"must be a tuple of exception classes, as in \(OSError,\)"
WRONG: list[tuple[str, dict[str, Any], str]] = [
    ("decorators' word", {"bind": True}, "ActualGreet.bind is True: leave it out. A method has self"),
    ("one exception", {"autoretry_for": OSError}, rf"autoretry_for is <class 'OSError'>, and {EXCEPTIONS}"),
    ("its name", {"autoretry_for": ("OSError",)}, rf"autoretry_for is \('OSError',\), and {EXCEPTIONS}"),
    ("one not to retry", {"dont_autoretry_for": KeyError}, rf"dont_autoretry_for is .*, and {EXCEPTIONS}"),
    ("a list that isinstance does not take", {"throws": [KeyError]}, rf"throws is .*, and {EXCEPTIONS}"),
    ("text for a count", {"max_retries": "3"}, "max_retries is '3', and must be a number"),
    (
        "a timedelta",
        {"default_retry_delay": timedelta(1)},
        "default_retry_delay is .*, and must be a number of seconds",
    ),
    ("a word for a factor", {"retry_backoff": "yes"}, "retry_backoff is 'yes', and must be True, False or a number"),
    ("no rate", {"rate_limit": "often"}, "rate_limit is 'often', and must be a number of tasks a second, or one as in"),
    ("no unit", {"rate_limit": "10/w"}, "rate_limit is '10/w', and must be a number"),
    ("a unit", {"time_limit": "5m"}, "time_limit is '5m', and must be a number of seconds"),
    (
        "soft above hard",
        {"soft_time_limit": 9, "time_limit": 5},
        "soft_time_limit is 9, and must not be above its time_limit",
    ),
]


@pytest.mark.parametrize(("attributes", "said"), [row[1:] for row in WRONG], ids=[row[0] for row in WRONG])
def test_an_option_that_celery_cannot_use_is_named(attributes: dict[str, Any], said: str) -> None:
    task = implementation(contract(""), "", **attributes)
    with pytest.raises(ContractError, match=said):
        check(task)
    with pytest.raises(ContractError, match=said):
        create_app_from([task], "celery_tasks.celery_config")


RIGHT: list[dict[str, Any]] = [
    {"autoretry_for": (OSError, KeyError), "retry_backoff": True, "retry_backoff_max": 60.0, "max_retries": None},
    {"autoretry_for": [OSError], "dont_autoretry_for": (), "retry_backoff": 2.5, "default_retry_delay": 0.5},
    {"throws": KeyError, "rate_limit": "0.5/m", "time_limit": 30, "soft_time_limit": 30.0},
    {"throws": (KeyError, (OSError,)), "rate_limit": 5, "time_limit": None, "soft_time_limit": 10},
    {"rate_limit": None, "time_limit": property(lambda self: 5), "soft_time_limit": 10},
]


@pytest.mark.parametrize("attributes", RIGHT)
def test_options_that_celery_takes_are_taken(attributes: dict[str, Any]) -> None:
    task = implementation(contract(""), "", **attributes)
    check(task)
    create_app_from([task], "celery_tasks.celery_config")
