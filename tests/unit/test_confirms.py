"""What each answer of the broker says, and of which message."""

from collections import defaultdict
from types import SimpleNamespace
from typing import Any

from celery_delivery.sending.confirms import Answer, Confirms


class Channel:
    """As much of a channel as confirms are told by."""

    def __init__(self) -> None:
        self.connection = SimpleNamespace()
        self.events: dict[str, set[Any]] = defaultdict(set)

    def confirm_select(self, nowait: bool) -> None:
        pass

    def basic_publish(self, message: Any) -> None:
        pass

    def say(self, event: str, *values: Any) -> None:
        for callback in self.events[event]:
            callback(*values)


def published(*ids: str) -> tuple[Channel, list[Any], Confirms]:
    channel = Channel()
    confirms = Confirms(channel)
    messages = [SimpleNamespace(properties={"correlation_id": each}) for each in ids]
    for message in messages:
        channel.basic_publish(message)
    return channel, messages, confirms


def test_messages_of_one_id_that_came_back_are_told_by_one_ack() -> None:
    channel, messages, confirms = published("one", "one", "two")
    for message in messages[:2]:
        channel.say("basic_return", None, "", "", message)
    channel.say("basic_ack", 3, True)
    assert [confirms.answer(tag) for tag in (1, 2, 3)] == [Answer.RETURNED, Answer.RETURNED, Answer.TAKEN]


def test_an_answer_to_several_says_nothing_of_those_after() -> None:
    channel, _, confirms = published("one", "two", "three")
    channel.say("basic_nack", 2, True)
    assert [confirms.is_answered(tag) for tag in (1, 2, 3)] == [True, True, False]
    assert [confirms.answer(tag) for tag in (1, 2)] == [Answer.NACKED, Answer.NACKED]
