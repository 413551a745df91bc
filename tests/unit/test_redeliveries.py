"""Which messages that come again are no new tasks."""

from __future__ import annotations

import logging
from types import SimpleNamespace
from typing import Any

import pytest
from celery.concurrency.prefork import TaskPool as StockPool
from celery.worker import state
from kombu.message import Message

from celery_delivery.worker.pool import MendedPool
from celery_delivery.worker.redeliveries import Redeliveries

log = logging.getLogger(__name__)


class Channel:
    """Takes every ack."""

    no_ack_consumers = None

    def __init__(self) -> None:
        self.acked: list[int] = []

    def basic_ack(self, delivery_tag: int, multiple: bool = False) -> None:
        self.acked.append(delivery_tag)

    def basic_reject(self, delivery_tag: int, requeue: bool) -> None:
        pass


def message(channel: Channel, tag: int, redelivered: bool = False, body: str = "[[], {}, {}]") -> Message:
    info = {"redelivered": redelivered}
    return Message(body, tag, channel=channel, headers={"id": "1", "task": "a"}, delivery_info=info)


def delivered(redeliveries: Redeliveries, given: Message, *, ack: bool = True) -> None:
    assert not redeliveries.is_known(given, ())
    method = given.ack_log_error if ack else given.reject_log_error
    settle: Any = redeliveries.settled(method)
    settle(log, ())


def test_what_was_acked_on_a_lost_channel_is_acked_once_more() -> None:
    redeliveries, before, now = Redeliveries(1, None), Channel(), Channel()
    delivered(redeliveries, message(before, 1))
    assert redeliveries.is_known(message(now, 7, redelivered=True), ())
    assert now.acked == [7]


def test_what_another_worker_left_is_a_new_task_with_the_same_id_too() -> None:
    redeliveries, channel = Redeliveries(1, None), Channel()
    delivered(redeliveries, message(channel, 1))
    delivered(redeliveries, message(channel, 2, redelivered=True))
    assert channel.acked == [1, 2]


def test_what_is_sent_again_is_a_new_task() -> None:
    redeliveries, before, now = Redeliveries(1, None), Channel(), Channel()
    delivered(redeliveries, message(before, 1))
    delivered(redeliveries, message(now, 2))


def test_what_was_rejected_is_a_new_task() -> None:
    redeliveries, before, now = Redeliveries(1, None), Channel(), Channel()
    delivered(redeliveries, message(before, 1), ack=False)
    delivered(redeliveries, message(now, 2, redelivered=True))


def test_other_arguments_make_another_task() -> None:
    redeliveries, before, now = Redeliveries(1, None), Channel(), Channel()
    delivered(redeliveries, message(before, 1))
    delivered(redeliveries, message(now, 2, redelivered=True, body="[[1], {}, {}]"))


class Given:
    """A task that was given to a pool of processes, and has not begun."""

    id = "1"
    time_start = None

    def __init__(self, message: Message, cache: dict[int, object]) -> None:
        self.message = message
        self._job = SimpleNamespace(_job=5, _cache=cache)

    def _apply_result(self) -> object:
        return self._job


@pytest.mark.parametrize(
    ("pool", "cache", "is_known"),
    [(MendedPool, {5: "it"}, True), (MendedPool, {}, False), (StockPool, {5: "what Celery 5.5 has left there"}, False)],
)
def test_what_a_process_has_is_known_and_can_be_revoked_and_what_its_pool_forgot_is_a_new_task(
    pool: type[StockPool], cache: dict[int, object], is_known: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(state, "task_reserved", (reserved := list[object]()).append)
    redeliveries, before, now = Redeliveries(1, object.__new__(pool)), Channel(), Channel()
    first = message(before, 1)
    assert not redeliveries.is_known(first, ())
    given: Any = Given(first, cache)
    redeliveries.given(given)
    again = message(now, 2, redelivered=True)
    assert redeliveries.is_known(again, ()) == is_known
    assert reserved == [given] * is_known
    redeliveries.settled(first.ack_log_error)(log, ())
    assert (before.acked, now.acked) == (([], [2]) if is_known else ([1], []))


def test_acks_that_can_not_be_lost_any_more_are_forgotten() -> None:
    redeliveries, before, now = Redeliveries(1, None), Channel(), Channel()
    delivered(redeliveries, message(before, 1))
    delivered(redeliveries, message(before, 2, body="[[2], {}, {}]"))
    delivered(redeliveries, message(now, 3, redelivered=True))
