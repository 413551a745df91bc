"""Messages that are to be elsewhere, or other ones: a copy is sent, and once it is confirmed, the message is done with.

Where the copy is not taken the message is kept, and a copy is sent later. Where the worker dies before the ack there are two.
"""

import struct
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any

from amqp.exceptions import AMQPError
from amqp.serialization import dumps
from celery.utils.log import get_logger

from celery_delivery.errors import SendError
from celery_delivery.sending.outgoing import Fate, Outgoing

PAUSE = 5.0  # seconds until the next attempt

_SECONDS = 3.0  # to wait for a confirm: all that time the worker does nothing else
_KEPT = ("priority", "correlation_id", "reply_to", "message_id", "timestamp", "type", "app_id")  # of the properties
_UNSENT = {"CC", "BCC"}  # headers by which RabbitMQ sends a message elsewhere, too: its sender's rights are not ours

_log = get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Replacement:
    """How a message is replaced: `options` of the copy, what is done with the message then, and with one that is kept.

    again: called after a pause where the copy was not taken. reason: why there is to be a copy, for the log.
    """

    options: dict[str, Any]
    then: Callable[[], None]
    again: Callable[[], None]
    reason: str


def replace(consumer: Any, message: Any, by: Replacement) -> None:
    """Send the copy of a message; else try again later, while the message's connection lasts."""
    try:
        send(consumer.app, message, by.options)
    except Exception as error:  # whatever a message has that can't be sent
        _log.error("%s. No copy of it is taken. It is kept, and tried again in %d s: %s", by.reason, PAUSE, error)
        consumer.timer.call_after(PAUSE, lambda: None if is_lost(message) else by.again())
    else:
        by.then()


def is_lost(message: Any) -> bool:
    """Say whether a message's connection is gone: it is delivered again by another one."""
    return message.channel.connection is None


def options_of(message: Any, queue: str, without: Collection[str], **added: Any) -> dict[str, Any]:
    """Return what a copy of a message is published with to a queue's own exchange; `without` and `added` are headers.

    What the broker would check again is left out, as user_id, and headers that can be read and not written.
    """
    given = {name: value for name, value in message.headers.items() if name not in _UNSENT and name not in without}
    # kombu has decompressed the body, unless it could not.
    compression = None if message.errors else given.pop("compression", None)
    return {
        **{name: message.properties[name] for name in _KEPT if name in message.properties},
        "headers": {**{name: value for name, value in given.items() if _can_be_sent({name: value})}, **added},
        "exchange": queue,
        "routing_key": queue,
        "content_type": message.content_type or "application/data",
        "content_encoding": message.content_encoding or "binary",
        "compression": compression,
        "delivery_mode": 2,
        "declare": (),
    }


class _Copy(Outgoing):
    """A message that is confirmed whether or not it is a task."""

    @property
    def is_task(self) -> bool:
        """Say that it is waited for."""
        return True


def send(app: Any, message: Any, options: dict[str, Any]) -> None:
    """Send a copy of a message, and wait until the broker has it; raises whatever keeps it from that."""
    copy = _Copy(bytes(message.body or b""), options)
    with app.producer_pool.acquire(block=True) as producer:
        producer.deliver([copy], _SECONDS)
    if copy.settled() is not Fate.ACCEPTED:
        raise SendError(copy.reason) from copy.cause


def _can_be_sent(header: Mapping[Any, Any]) -> bool:
    """Say whether py-amqp can write a header that it could read; one that is nested deeply it can't."""
    try:
        dumps("F", [dict(header)])
    except (AMQPError, ValueError, TypeError, RecursionError, struct.error):
        return False
    return True
