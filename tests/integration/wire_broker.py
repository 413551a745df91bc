"""A broker with one queue, on a loopback port, that delivers bytes as they are: also such as RabbitMQ would not take.

It speaks as much AMQP as a worker needs: it lets everybody in, says yes to every declaration, confirms every message, and
keeps those that are for the queue. What a connection has not settled when it is lost is delivered again, to the next one.
Other queues, such as the stream of revocations, are empty.
"""

from __future__ import annotations

import socket
import struct
import threading
from collections import Counter, deque
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, ClassVar

from amqp.serialization import dumps, loads

from tests.ports import HOST

METHOD, HEADER, BODY, HEARTBEAT = 1, 2, 3, 8  # types of a frame
END = b"\xce"
FRAME_MAX = 131_072
CAPABILITIES = {"publisher_confirms": True, "basic.nack": True, "consumer_cancel_notify": True}
PRODUCT = {"product": "RabbitMQ", "version": "4.0.5", "capabilities": CAPABILITIES}
# Of a method that is answered: its answer, and what that says.
ANSWERS: dict[tuple[int, int], tuple[tuple[int, int], str, tuple[Any, ...]]] = {
    (10, 11): ((10, 30), "BlB", (2047, FRAME_MAX, 0)),  # start-ok, tune
    (10, 40): ((10, 41), "s", ("",)),  # open
    (10, 50): ((10, 51), "", ()),  # close
    (20, 10): ((20, 11), "S", ("",)),  # channel.open
    (20, 40): ((20, 41), "", ()),  # channel.close
    (40, 10): ((40, 11), "", ()),  # exchange.declare
    (40, 30): ((40, 31), "", ()),  # exchange.bind
    (50, 10): ((50, 11), "sll", ("queue", 0, 0)),  # queue.declare
    (50, 20): ((50, 21), "", ()),  # queue.bind
    (50, 40): ((50, 41), "l", (0,)),  # queue.delete
    (60, 10): ((60, 11), "", ()),  # basic.qos
    (85, 10): ((85, 11), "", ()),  # confirm.select
}
QOS, CONSUME, CANCEL, PUBLISH, DELIVER, ACK, REJECT, NACK = (
    (60, 10), (60, 20), (60, 30), (60, 40), (60, 60), (60, 80), (60, 90), (60, 120),
)  # fmt: skip


NOWAIT = 8  # among the flags of basic.consume


@dataclass(frozen=True, slots=True)
class Delivery:
    """A message as bytes: the routing key, the properties with their flags, the body."""

    key: bytes
    properties: bytes
    body: bytes
    exchange: ClassVar[bytes] = b"alpha"


@dataclass
class Fate:
    """How often messages were delivered, acked and rejected, by their places in the sequence."""

    delivered: dict[int, int] = field(default_factory=dict)
    acked: list[int] = field(default_factory=list)
    rejected: list[int] = field(default_factory=list)
    given_back: list[int] = field(default_factory=list)


class WireBroker:
    """Delivers a sequence of messages to whoever consumes."""

    def __init__(self, messages: Sequence[Delivery]) -> None:
        """Listen; the messages are delivered in their order."""
        self.fate = Fate()
        self._sent: list[Delivery] = []  # by the worker, to the queue; their places are those after the messages'
        self._messages = messages
        self._waiting = deque(range(len(messages)))
        self._lock = threading.RLock()
        self._server = socket.create_server((HOST, 0))
        self.port: int = self._server.getsockname()[1]
        self.unsettled: dict[int, int] = {}  # place of a message by delivery tag, of the one consumer
        self.asked: Counter[tuple[int, int]] = Counter()  # how often, by method
        self.ignored: set[tuple[int, int]] = set()  # methods that it does not answer, as if its link were frozen
        threading.Thread(target=self._serve, daemon=True).start()

    @property
    def is_done(self) -> bool:
        """Whether each message was acked or rejected."""
        with self._lock:
            return not self._waiting and not self.unsettled

    def settled(self) -> int:
        """Return how many messages were acked or rejected for good."""
        return len(self.fate.acked) + len(self.fate.rejected)

    def held(self) -> list[int]:
        """Return the places of what was delivered and is not settled, or waits to be delivered again."""
        with self._lock:
            again = [place for place in self._waiting if place in self.fate.delivered]
            return sorted([*self.unsettled.values(), *again])

    def close(self) -> None:
        """Listen no more."""
        self._server.close()

    def take(self) -> int | None:
        """Return the place of the next message to deliver."""
        with self._lock:
            return self._waiting.popleft() if self._waiting else None

    def give_back(self, places: Sequence[int]) -> None:
        """Put messages to the front of the queue."""
        with self._lock:
            self._waiting.extendleft(sorted(places, reverse=True))

    def message(self, place: int) -> Delivery:
        """Return a message."""
        count = len(self._messages)
        return self._messages[place] if place < count else self._sent[place - count]

    def add(self, message: Delivery) -> None:
        """Put a message to the end of the queue."""
        with self._lock:
            self._waiting.append(len(self._messages) + len(self._sent))
            self._sent.append(message)

    def _serve(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._server.accept()
                threading.Thread(target=_Connection(self, client).run, daemon=True).start()


class _Connection:
    def __init__(self, broker: WireBroker, client: socket.socket) -> None:
        self._broker = broker
        self._client = client
        self._file = client.makefile("rb")
        self._consumer: tuple[int, bytes] | None = None  # channel and tag
        self._prefetch: dict[int, int] = {}  # by channel
        self._tags = 0
        self._unsettled: dict[int, int] = {}
        self._published: dict[int, int] = {}  # how many, by channel
        self._publishing: dict[
            int, list[bytes]
        ] = {}  # by channel: the exchange, the content's header, parts of the body

    def run(self) -> None:
        with suppress(OSError, struct.error), self._client:
            self._client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._file.read(8)
            self._send(0, (10, 10), "ooFSS", 0, 9, PRODUCT, "AMQPLAIN PLAIN", "en_US")
            while (frame := self._frame()) is not None:
                self._handle(*frame)
        self._broker.give_back(list(self._unsettled.values()))
        self._unsettled.clear()

    def _frame(self) -> tuple[int, int, bytes] | None:
        start = self._file.read(7)
        if len(start) < 7:
            return None
        kind, channel, size = struct.unpack(">BHI", start)
        content = self._file.read(size + 1)
        return kind, channel, content[:-1]

    def _handle(self, kind: int, channel: int, content: bytes) -> None:
        if kind == HEARTBEAT:
            self._client.sendall(struct.pack(">BHI", HEARTBEAT, 0, 0) + END)
        if kind in (HEADER, BODY):
            self._publishing[channel].append(content)
            self._publish(channel, *self._publishing[channel])
        if kind != METHOD:
            return
        method = struct.unpack_from(">HH", content)
        self._broker.asked[method] += 1
        if method in self._broker.ignored:
            return
        if method == QOS:
            (_, self._prefetch[channel], _), _ = loads("lBb", content, 4)
        if method in ANSWERS:
            answer, form, values = ANSWERS[method]
            self._send(channel, answer, form, *values)
        elif method == CONSUME:
            (_, queue, tag, flags), _ = loads("Bsso", content, 4)
            if queue.encode() == Delivery.exchange:
                self._consumer = (channel, tag.encode())
                self._broker.unsettled = self._unsettled
            if not flags & NOWAIT:
                self._send(channel, (60, 21), "s", tag or f"of-{queue}")
        elif method == CANCEL:
            (tag, is_nowait), _ = loads("sb", content, 4)
            if self._consumer == (channel, tag.encode()):
                self._consumer = None
            if not is_nowait:
                self._send(channel, (60, 31), "s", tag)
        elif method == PUBLISH:
            (_, exchange, *_), _ = loads("Bssbb", content, 4)
            self._publishing[channel] = [exchange.encode()]
        elif method in (ACK, REJECT, NACK):
            (tag, flag), _ = loads("Lb", content, 4)
            self._settle(method, tag, flag)
        self._deliver()

    def _publish(self, channel: int, exchange: bytes, header: bytes, *parts: bytes) -> None:
        (size,) = struct.unpack_from(">Q", header, 4)
        body = b"".join(parts)
        if len(body) < size:
            return
        if exchange == Delivery.exchange:
            self._broker.add(Delivery(exchange, header[12:], body))
        self._published[channel] = self._published.get(channel, 0) + 1
        self._send(channel, ACK, "Lb", self._published[channel], False)

    def _settle(self, method: tuple[int, ...], tag: int, flag: bool) -> None:
        place = self._unsettled.pop(tag)
        fate = self._broker.fate
        if method != ACK and flag:
            fate.given_back.append(place)
            self._broker.give_back([place])
        else:
            (fate.acked if method == ACK else fate.rejected).append(place)

    def _deliver(self) -> None:
        while self._consumer is not None and len(self._unsettled) < self._prefetch.get(self._consumer[0], 1):
            place = self._broker.take()
            if place is None:
                return
            channel, consumer = self._consumer
            self._tags += 1
            self._unsettled[self._tags] = place
            delivered = self._broker.fate.delivered
            delivered[place] = delivered.get(place, 0) + 1
            message = self._broker.message(place)
            flags = struct.pack(">QB", self._tags, delivered[place] > 1)
            method = _short(consumer) + flags + _short(message.exchange) + _short(message.key)
            frames = [_frame(METHOD, channel, struct.pack(">HH", *DELIVER) + method)]
            header = struct.pack(">HHQ", 60, 0, len(message.body)) + message.properties
            frames.append(_frame(HEADER, channel, header))
            most = FRAME_MAX - 8
            parts = [message.body[start : start + most] for start in range(0, len(message.body), most)]
            self._client.sendall(b"".join([*frames, *(_frame(BODY, channel, part) for part in parts)]))

    def _send(self, channel: int, method: tuple[int, int], form: str, *values: Any) -> None:
        arguments = dumps(form, values) if form else b""
        self._client.sendall(_frame(METHOD, channel, struct.pack(">HH", *method) + arguments))


def _frame(kind: int, channel: int, content: bytes) -> bytes:
    return struct.pack(">BHI", kind, channel, len(content)) + content + END


def _short(text: bytes) -> bytes:
    return bytes([len(text)]) + text
