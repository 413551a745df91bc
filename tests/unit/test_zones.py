"""A time without a zone is taken for UTC; where that is not the host's own time, the log says so, once."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest

from celery_delivery.apps import create_app_from
from celery_delivery.sending import zones
from celery_delivery.testing import StubBroker
from celery_tasks.tasks import SleepTask

SOON = datetime(2030, 1, 1, 12)  # noqa: DTZ001


@pytest.fixture
def _a_host_in_india(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("TZ", "Asia/Kolkata")
    time.tzset()
    zones._tell.cache_clear()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.mark.usefixtures("_a_host_in_india")
def test_a_time_without_a_zone_is_told_once(caplog: pytest.LogCaptureFixture) -> None:
    with StubBroker():
        task = create_app_from([SleepTask], "celery_tasks.celery_config").tasks["sleep"]
        for _ in range(2):
            task.apply_async((1,), eta=datetime.now() + timedelta(hours=1))  # noqa: DTZ005
    (line,) = (record.getMessage() for record in caplog.records if record.name == zones.__name__)
    assert line.startswith("eta has no time zone, and is taken for UTC; the time of this host is UTC+0530. Say which")


@pytest.mark.usefixtures("_a_host_in_india")
@pytest.mark.parametrize("options", [{"eta": SOON.replace(tzinfo=UTC)}, {"countdown": 3}, {"eta": SOON.isoformat()}])
def test_nothing_is_said_of_others(caplog: pytest.LogCaptureFixture, options: dict[str, object]) -> None:
    zones.tell_of_naive(options)
    assert caplog.messages == []
