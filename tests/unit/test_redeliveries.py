"""Which messages that come again are no new tasks."""

from __future__ import annotations

import logging
from typing import Any

from kombu.message import Message

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


def test_acks_that_can_not_be_lost_any_more_are_forgotten() -> None:
    redeliveries, before, now = Redeliveries(1, None), Channel(), Channel()
    delivered(redeliveries, message(before, 1))
    delivered(redeliveries, message(before, 2, body="[[2], {}, {}]"))
    delivered(redeliveries, message(now, 3, redelivered=True))
