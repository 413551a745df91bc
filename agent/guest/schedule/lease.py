"""The right to send ticks, which the broker itself keeps: one connection in the fleet has it at a time.

    exchange NAME ── NAME ──> queue NAME (quorum, single active consumer): one message, the record

Each agent's process is a consumer of that queue; the broker gives messages to one of them, and to another when that one's
connection is gone. Who is given the record leads, and holds it unacked. A tick goes out on the same channel as the next record
and the ack of the former one, in one write: a process that is killed has said all of it or nothing. Whoever has lost the right
has lost the connection, and what it writes there nobody reads: a leader that was frozen needs no clock to know.

A candidate puts an empty record into the queue when it comes, so that there always is one; the newest counts, and the others
are acked.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Mapping
from typing import Any, ClassVar

import amqp
from celery.utils.log import get_logger
from kombu import Connection

from celery_delivery.sending.confirms import Answer, Confirms
from celery_delivery.topology.queues import (
    NO_DELIVERY_LIMIT,
    QUORUM,
    Binding,
    ExchangeDeclaration,
    QueueDeclaration,
    Topology,
    declare,
)

from .record import Record, decode, encode

# Seconds. A broker closed the connections of frozen leaders in three of them: with 4 they were followed after 11.6 s.
HEARTBEAT = 2
CONFIRM = 6.0  # seconds for the broker to take a tick; a quorum queue has another leader in 3 s
RENEWAL = 60.0  # seconds; far below the 30 minutes for which a broker lets a message be unacked

_log = get_logger(__name__)


class LeaseLost(Exception):
    """The right to send is gone, or the connection that it came by."""


def topology(name: str) -> Topology:
    """Return what a lease is on the broker."""
    arguments: dict[str, str | int] = {
        **QUORUM,
        "x-single-active-consumer": True,
        "x-delivery-limit": NO_DELIVERY_LIMIT,
    }
    return Topology(
        (ExchangeDeclaration(name, "direct"),), (QueueDeclaration(name, arguments),), (Binding(name, name, name),)
    )


class Lease:
    """A candidacy over one connection, until that is lost; all may raise one of LOST."""

    LOST: ClassVar[tuple[type[Exception], ...]] = (LeaseLost, amqp.AMQPError, OSError)
    REFUSED: ClassVar[tuple[type[Exception], ...]] = (amqp.ChannelError,)
    OPTIONS: ClassVar[Mapping[str, Any]] = {"heartbeat": HEARTBEAT}

    def __init__(self, connection: Connection, name: str) -> None:
        """Stand for the right of a name, over a connection that is open."""
        self.connection = connection
        self.channel = connection.channel()
        self.confirms = Confirms.of(self.channel)
        self._name = name
        self._leads = False
        self._mark = f"{uuid.uuid4()}"
        self._record: Record | None = None
        self._tag: int | None = None  # of the message that it came by
        self._written = 0.0

    def stand(self, *, declares: bool) -> None:
        """Become a candidate; return once the broker has taken the consumer."""
        if declares:
            declare(topology(self._name), self.channel)
        self.channel.basic_consume(self._name, callback=self._take, on_cancel=self._cancelled)
        self._publish(Record())
        self.confirms.wait(self.confirms.last, time.monotonic() + CONFIRM)

    @property
    def record(self) -> Record | None:
        """The record, where this one leads."""
        return self._record if self._leads else None

    def wait(self, seconds: float) -> None:
        """Listen for so long to what the broker says, and keep the connection alive."""
        self.connection.heartbeat_check()
        try:
            self.connection.drain_events(timeout=max(0.001, min(seconds, HEARTBEAT / 4)))
        except TimeoutError:
            pass
        if self._record is not None and not self._leads:
            self._publish(Record(by=self._mark))
            while not self._leads:
                self._listen(time.monotonic() + CONFIRM)
        elif self._record is not None and time.monotonic() - self._written > RENEWAL:
            self.write(self._record)

    def write(self, record: Record, send: Callable[[], None] = lambda: None) -> list[Answer]:
        """Replace the record, and with it send what `send` publishes on the channel; return the broker's answers to that.

        Raises LeaseLost where this one does not lead.
        """
        if self._record is None or not self._leads:
            raise LeaseLost("another one leads")
        first = self.confirms.last + 1
        with _one_write(self.connection.connection):
            send()
            sent = range(first, self.confirms.last + 1)
            self._publish(record)
            self.channel.basic_ack(self._tag)
        # The broker brings it back, under another tag: until then there is nothing to ack.
        self._record, self._tag = None, None
        deadline = time.monotonic() + CONFIRM
        self.confirms.wait(self.confirms.last, deadline)
        while self._record is None or self._record.version < record.version:
            self._listen(deadline)
        self._written = time.monotonic()
        return [self.confirms.answer(tag) for tag in sent]

    def resign(self) -> None:
        """Let another one lead: the broker gives on what this one holds."""
        self.connection.close()

    def _listen(self, deadline: float) -> None:
        left = deadline - time.monotonic()
        if left <= 0:
            raise LeaseLost("the broker does not bring the record back")
        try:
            self.connection.drain_events(timeout=left)
        except TimeoutError:
            pass

    def _publish(self, record: Record) -> None:
        message = amqp.Message(encode(record), content_type="application/json", delivery_mode=2)
        self.channel.basic_publish(message, exchange=self._name, routing_key=self._name)

    def _take(self, message: Any) -> None:
        try:
            found = decode(bytes(message.body if isinstance(message.body, bytes) else message.body.encode()))
        except ValueError as error:
            _log.error("What is in the queue %s is dropped: %s", self._name, error)
            found = Record()
        # All that the former leader held came before the mark: the newest record is known.
        self._leads |= found.by == self._mark
        if self._record is not None and self._record.version > found.version:
            self.channel.basic_ack(message.delivery_tag)
            return
        if self._tag is not None:
            self.channel.basic_ack(self._tag)
        self._record, self._tag = found if found.version else Record(), message.delivery_tag

    def _cancelled(self, _tag: str) -> None:
        raise LeaseLost(f"the queue {self._name} was deleted")


class _one_write:  # noqa: N801 - a context, named like a function
    """Has what is written to a connection go out at once: py-amqp writes each method by itself."""

    def __init__(self, connection: Any) -> None:
        self._transport = connection.transport
        self._parts: list[bytes] = []

    def __enter__(self) -> None:
        self._write = self._transport._write
        self._transport._write = lambda data: self._parts.append(bytes(data))

    def __exit__(self, kind: object, *_: object) -> None:
        self._transport._write = self._write
        if kind is None:
            self._transport.write(b"".join(self._parts))
