"""What the broker says of each message that was published on a channel.

    basic.ack      it has the message, for a quorum queue on the disks of a majority
    basic.nack     it refused the message: the queue is full (reject-publish) or broken
    basic.return   no queue takes the message, which was published as mandatory; an ack follows

py-amqp's own `confirm_publish` waits for any answer, without a limit: after a wait that was given up, the late ack of one
message counts for the next. Here each answer counts for the message that it names.
"""

import time
from collections import Counter
from collections.abc import Container
from contextlib import suppress
from enum import Enum
from typing import Any

from amqp.exceptions import RecoverableConnectionError

from celery_delivery import internals, mending

SMALL = 16_384  # bytes; no broker has a limit below that


class Answer(Enum):
    """What the broker says of a message."""

    TAKEN = "taken"
    NACKED = "nacked"
    RETURNED = "returned"


class Confirms:
    """The answers to what is published on one channel, from when this is made."""

    def __init__(self, channel: Any) -> None:
        """Switch the channel to confirms; that is not waited for, because the first answer shows it.

        Raises UnsupportedError where py-amqp is not of a release whose channels are known.
        """
        mending.require(internals.client.CONFIRMS)
        channel.confirm_select(nowait=True)
        self.last = 0  # delivery tag of the newest message: the broker counts them too
        self.proven = SMALL  # bytes of a message that the broker does not refuse for its size on this channel
        self.is_blocked = False  # by the broker, which is short of memory or disk
        self._channel = channel
        self._waiting: dict[int, str] = {}  # task ids by delivery tag, in the order of sending
        self._returned: Counter[str] = Counter()  # task ids; two messages of one id may be answered for at once
        self._bad_news: dict[int, Answer] = {}  # by delivery tag
        self._publish = channel.basic_publish
        channel.basic_publish = self._count_and_publish
        channel.events["basic_ack"].add(self._acked)
        channel.events["basic_nack"].add(self._nacked)
        channel.events["basic_return"].add(self._on_return)
        channel.connection.on_blocked = self._blocked
        channel.connection.on_unblocked = self._unblocked

    @classmethod
    def of(cls, channel: Any) -> "Confirms":
        """Return the answers to a channel's messages, from the first time that they are asked for."""
        found: Confirms | None = getattr(channel, "confirms", None)
        if found is None:
            found = channel.confirms = cls(channel)
        return found

    def wait(self, tag: int, deadline: float) -> None:
        """Return when everything up to a message is answered; raises TimeoutError at the deadline, by the monotonic clock.

        What the channel or the connection meets meanwhile is raised: amqp.exceptions.AMQPError, OSError.
        """
        while self._waiting and next(iter(self._waiting)) <= tag:
            connection = self._channel.connection
            if connection is None:
                raise RecoverableConnectionError("the connection is closed")
            left = deadline - time.monotonic()
            if left <= 0:
                raise TimeoutError("no answer")
            connection.drain_events(timeout=left)

    def read(self) -> None:
        """Read the answers that are there; raises what the channel or the connection has met: AMQPError, OSError."""
        connection = self._channel.connection
        if connection is None:
            raise RecoverableConnectionError("the connection is closed")
        with suppress(TimeoutError):
            while self._waiting:
                connection.drain_events(timeout=0)

    def was_written(self, tag: int) -> bool:
        """Say whether there is such a message, 0 meaning none: whether it went to the socket, at least in part."""
        return 0 < tag <= self.last

    def is_answered(self, tag: int) -> bool:
        """Say whether the broker has answered for a message."""
        return self.was_written(tag) and tag not in self._waiting

    def unanswered(self, tags: Container[int]) -> list[str]:
        """Return the task ids of what else was written than these messages, and is not answered for."""
        return [task_id for tag, task_id in self._waiting.items() if tag not in tags]

    def answer(self, tag: int) -> Answer:
        """Return the answer for a message, once."""
        return self._bad_news.pop(tag, Answer.TAKEN)

    def _count_and_publish(self, message: Any, *args: Any, **options: Any) -> Any:
        self.last += 1
        self._waiting[self.last] = str(message.properties.get("correlation_id"))
        return self._publish(message, *args, **options)

    def _acked(self, tag: int, multiple: bool) -> None:
        for each in self._named(tag, multiple):
            task_id = self._waiting.pop(each)
            if self._returned[task_id]:
                self._returned[task_id] -= 1
                self._bad_news[each] = Answer.RETURNED

    def _nacked(self, tag: int, multiple: bool) -> None:
        for each in self._named(tag, multiple):
            del self._waiting[each]
            self._bad_news[each] = Answer.NACKED

    def _named(self, tag: int, multiple: bool) -> list[int]:
        if not multiple:
            return [tag] if tag in self._waiting else []
        named = []
        for each in self._waiting:
            if each > tag:
                break
            named.append(each)
        return named

    def _on_return(self, _error: Exception, _exchange: str, _routing_key: str, message: Any) -> None:
        self._returned[str(message.properties.get("correlation_id"))] += 1

    def _blocked(self, _reason: str) -> None:
        self.is_blocked = True

    def _unblocked(self) -> None:
        self.is_blocked = False
