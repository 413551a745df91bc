"""What `app.control` does where remote control is off: it revokes, and raises what to do instead of all else."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from celery.exceptions import TaskRevokedError
from celery.result import GroupResult

from celery_delivery.errors import NotAccepted, RemoteControlOff
from celery_delivery.sending.revocation import LARGEST, LONGEST_ID, MOST_IDS, SIGNALS, Revocation, decode, encode
from celery_delivery.testing import End, StubBroker
from celery_tasks import utils
from celery_tasks.tasks import SleepTask

pytestmark = pytest.mark.celery


class Sleep(SleepTask):
    def run(self, seconds: float) -> float:
        return seconds


@pytest.fixture
def broker() -> Iterator[StubBroker]:
    with StubBroker() as broker:
        yield broker


@pytest.fixture
def sleep() -> Any:
    return utils.create_worker_from(Sleep)[1]


@pytest.mark.parametrize(
    ("command", "instead"),
    [
        (lambda control: control.inspect().active(), "Instead, `agent status INSTANCE`"),
        (lambda control: control.ping(), "Instead, `agent status INSTANCE`"),
        (lambda control: control.broadcast("reset", reply=True), "no worker hears 'reset': remote control is off"),
        (lambda control: control.rate_limit("sleep", "1/m"), "Instead, give the contract's class `rate_limit`"),
        (lambda control: control.time_limit("sleep", hard=1), "TIME_LIMIT"),
        (lambda control: control.shutdown(), "Instead, `systemctl stop celery-agent@INSTANCE`"),
        (lambda control: control.pool_grow(), "CONCURRENCY"),
        (lambda control: control.autoscale(2, 1), "CONCURRENCY"),
        (lambda control: control.add_consumer("other"), "CELERY_AGENT_TASKS"),
        (lambda control: control.revoke_by_stamped_headers({"a": "b"}), "Instead, revoke tasks by their ids"),
        (lambda control: control.revoke("id", destination=["a@b"]), "every worker hears of a revocation"),
        (lambda control: control.revoke("id", reply=True), "none answers"),
    ],
)
def test_what_no_worker_hears_raises_what_to_do_instead(
    sleep: Any, command: Callable[[Any], object], instead: str
) -> None:
    with pytest.raises(RemoteControlOff, match=re.escape(instead)):
        command(sleep.app.control)


def test_a_task_that_is_revoked_is_not_run(broker: StubBroker, sleep: Any) -> None:
    kept, revoked = sleep.delay(1), sleep.delay(2)
    revoked.revoke()
    assert [outcome.end for outcome in broker.work(sleep.app)] == [End.SUCCEEDED, End.IGNORED]
    assert kept.get() == 1
    with pytest.raises(TaskRevokedError):
        revoked.get()


def test_a_group_is_revoked_task_by_task(broker: StubBroker, sleep: Any) -> None:
    results = GroupResult("group", [sleep.delay(number) for number in range(3)], app=sleep.app)
    results.revoke(terminate=True, signal="SIGKILL")
    assert [outcome.end for outcome in broker.work(sleep.app)] == [End.IGNORED] * 3


def test_a_broker_that_is_away_has_no_revocation(broker: StubBroker, sleep: Any) -> None:
    broker.is_away = True
    with pytest.raises(NotAccepted, match="the revocation was not accepted"):
        sleep.app.control.revoke("id")


@pytest.mark.parametrize("task_id", ["", "x" * (LONGEST_ID + 1), "a\nb", 7])
def test_what_is_no_id_is_refused_at_the_call(sleep: Any, task_id: Any) -> None:
    with pytest.raises(ValueError, match="is no id of a task"):
        sleep.app.control.revoke([task_id])


def test_a_signal_that_ends_no_process_is_refused_at_the_call(sleep: Any) -> None:
    with pytest.raises(ValueError, match="'SIGSTOP' does not end a task"):
        sleep.app.control.revoke("id", terminate=True, signal="SIGSTOP")


def test_the_profile_article_revokes_nothing_and_says_so(sleep: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sleep.app.conf, "delivery_profile", "article")
    with pytest.raises(RemoteControlOff, match="with the profile safe only"):
        sleep.app.control.revoke("id")


@pytest.mark.parametrize("signal", [None, *SIGNALS])
def test_a_revocation_arrives_as_it_was_sent(signal: str | None) -> None:
    revocation = Revocation(("1", "2"), signal)
    assert decode(encode(revocation).encode()) == revocation


def test_as_many_of_the_longest_ids_as_a_message_has_are_looked_into() -> None:
    assert decode(encode(Revocation(("𝄞" * LONGEST_ID,) * MOST_IDS)))


@pytest.mark.parametrize(
    "body",
    [
        *["", "7", "[]", "{}", '{"ids": "x", "signal": null}', '{"ids": [[]], "signal": null}', "[" * 100_000],
        *[b"\xff", '{"ids": [], "signal": 7}', '{"ids": [], "signal": "SIGCONT"}', b" " * (LARGEST + 1)],
    ],
)
def test_what_is_no_revocation_is_found(body: str | bytes) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 -- Python has the words for some
        decode(body)
