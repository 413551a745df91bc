"""Moves what waits in one queue into a safe one, so that nothing is lost and nothing is there twice, whenever it is killed.

    old queue ──(1) confirmed, then acked──> Q.moving ──(2) rejected: the broker moves it──> queue Q

Q.moving is a quorum queue that only the move reads, and whose dead letters go to Q. A batch goes through (1) as a whole before
(2) begins, and through (2) before the next one:

    killed in            then there is                          the next move
    -------------------  -------------------------------------  ------------------------------------------------------------
    (1), before the ack  the same message in the old queue and  finds it in both, and acks it in the old one
                         in Q.moving
    (2)                  the rest of the batch in Q.moving      goes on with (2); one message is a single word to the broker

A lock, an exclusive queue, sees to it that there is one move at a time. The broker lets it go with the connection, after what
that one had fetched is back in its queues.

    {"moving": number}                                                         now and then, a sign of life
    {"moved": {"source", "queue", "count", "left", "consumers", "deleted"}}    of each queue: how many were moved, and how many
                                                                               and who is there now; `left` is null for no queue
    {"stays": {"source", "text"}}                                              one message that can't be sent as it is
    {"failed": …}, {"finished": true}                                          as of `letterbox`
"""

from __future__ import annotations

import time
from collections import Counter, deque
from collections.abc import Mapping, Sequence
from hashlib import blake2b
from typing import Any

from amqp import Message
from amqp.exceptions import NotFound, PreconditionFailed, ResourceLocked
from celery import Celery

from celery_delivery.broker.urls import brokers, is_embedded
from celery_delivery.sending.confirms import Answer, Confirms
from celery_delivery.settings.profile import clients_declare, is_safe
from celery_delivery.topology.queues import NO_DELIVERY_LIMIT, QUORUM, QueueDeclaration, Topology, declare, topology

from .importing import Emit
from .kinds import INTERIM, LOCK, by_broker_s_name, name_at_broker
from .letters import BROKER_S_OWN, headers_of, is_readable
from .reading import ANSWER_TIMEOUT, Refused, connected, failure

WINDOW = 100  # messages in a batch
LONGEST_BATCH = 1.0  # seconds for one
QUIET = 0.3  # seconds without a message, after which a batch is as large as it gets
SIGN_OF_LIFE = 5.0  # seconds
# Properties that are not sent again: user_id can only be that of who sends, and what expires would become a dead letter.
UNSENT = ("user_id", "expiration")
ADVICE = "docs/broker.md says what is moved where."


def take(step: Mapping[str, Any], apps: Mapping[str, Celery], emit: Emit) -> None:
    """Move what waits in the queues that safe ones had before, or in another one.

    step: `queue`, to move to, or null for all; `source`, or null for the one of Celery's name; `seconds` to go on for, 0 to
    move what is there; `delete`, whether the old queue is to go once it is empty and nobody reads it.
    """
    try:
        pairs = _pairs(step, apps)
        deadline = time.monotonic() + step["seconds"]
        with connected(apps[pairs[0][1]]) as connection:
            moves = [_Move(connection, source, queue, apps[queue], emit) for source, queue in pairs]
            while True:
                moved = sum(each.batch() for each in moves)
                if not moved and time.monotonic() >= deadline:
                    break
            for each in moves:
                each.end(step["delete"])
    except Exception as error:  # whatever a broker or the network does is the finding
        emit(failure(next(iter(apps.values())), error))
    else:
        emit({"finished": True})


def _pairs(step: Mapping[str, Any], apps: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return which queue is to be moved to which."""
    queue, source = step["queue"], step["source"]
    safe = [each for each, app in sorted(apps.items()) if by_broker_s_name({each: app}) and _is_safe(app)]
    if queue in apps and queue not in safe:
        raise Refused(f"Queue {queue!r} is not safe. {ADVICE}")
    if source is not None and queue in safe and source == name_at_broker(queue, apps[queue]):
        raise Refused(f"{source!r} is the queue {queue!r} itself: name the old one with --from.")
    renamed = [each for each in safe if name_at_broker(each, apps[each]) != each]
    if source is None and queue in safe and queue not in renamed:
        raise Refused(f"Queue {queue!r} has had no other name: name the old one with --from.")
    pairs = [(source or each, each) for each in ([queue] if queue in safe else renamed if queue is None else [])]
    if not pairs:
        raise Refused(f"No safe queue of this instance has had another name. {ADVICE}")
    return pairs


def _is_safe(app: Any) -> bool:
    return not is_embedded(brokers(app)[0]) and (is_safe(app.conf) or hasattr(app, "safe_queues"))


class _Move:
    """From one queue to one other, batch by batch."""

    def __init__(self, connection: Any, source: str, queue: str, app: Any, emit: Emit) -> None:
        """Take the lock, make what is needed, and read what a former move has left on its way."""
        self._connection, self._source, self._queue, self._emit = connection, source, queue, emit
        target = name_at_broker(queue, app)
        self._interim = f"{target}{INTERIM}"
        self._count = 0
        self._told = time.monotonic()
        self._fetched: deque[Any] = deque()
        self._on_the_way: deque[Any] = deque()
        self._lock()
        self._second = self._channel()
        if clients_declare(app.conf):
            declare(topology([target], _arguments(app, queue)), self._second)
        declare(Topology((), (QueueDeclaration(self._interim, _leading_to(target)),), ()), self._second)
        left = self._second.queue_declare(self._interim, passive=True).message_count
        self._second.basic_consume(self._interim, callback=self._on_the_way.append)
        self._wait_for(left)
        self._known = Counter(map(_identity, self._on_the_way))  # a former move may not have acked these
        self._first = self._channel()
        try:
            self._first.basic_qos(0, WINDOW, False)
            self._tag = self._first.basic_consume(source, callback=self._fetched.append)
        except NotFound:
            self._tag = None

    def batch(self) -> int:
        """Move what is there, at most WINDOW messages; return how many they were."""
        fetched = [each for each in self._fetch() if self._can_be_sent(each)]
        due = len(self._on_the_way) + self._send([each for each in fetched if not self._is_known(each)])
        for each in fetched:
            self._first.basic_ack(each.delivery_tag)
        if fetched:
            self._first.queue_declare(self._source, passive=True)  # the queue has the acks
        self._wait_for(due)
        for each in self._on_the_way:
            self._second.basic_reject(each.delivery_tag, requeue=False)
        self._on_the_way.clear()
        if due:
            self._second.queue_declare(self._interim, passive=True)
        self._count += due
        if time.monotonic() - self._told > SIGN_OF_LIFE:
            self._told = time.monotonic()
            self._emit({"moving": self._count})
        return due or len(fetched)

    def end(self, delete: bool) -> None:
        """Tell what was moved, and what is in the old queue now; delete that, if it is empty and nobody reads it."""
        found, deleted = None, False
        if self._tag is not None:
            self._first.basic_cancel(self._tag)
            found = self._first.queue_declare(self._source, passive=True)
        if found is not None and delete:
            try:
                self._connection.channel().queue_delete(self._source, if_unused=True, if_empty=True)
                deleted = True
            except PreconditionFailed:
                pass
        self._emit(
            {
                "moved": {
                    "source": self._source,
                    "queue": self._queue,
                    "count": self._count,
                    "left": None if found is None else found.message_count,
                    "consumers": 0 if found is None else found.consumer_count,
                    "deleted": deleted,
                }
            }
        )

    def _lock(self) -> None:
        try:
            self._connection.channel().queue_declare(f"{self._interim}{LOCK}", exclusive=True, auto_delete=True)
        except ResourceLocked as error:
            raise Refused(f"Another move to {self._queue!r} is under way: wait for its end.") from error

    def _channel(self) -> Any:
        channel = self._connection.channel()
        channel.auto_decode = False  # bodies stay bytes
        return channel

    def _fetch(self) -> list[Any]:
        """Return what the old queue has, until it gives no more, or for long enough."""
        # What a former move has not acked comes first. All of it must be seen before what is on the way goes on.
        longest, quiet = (ANSWER_TIMEOUT, 10 * QUIET) if self._on_the_way else (LONGEST_BATCH, QUIET)
        deadline = time.monotonic() + longest
        while self._tag is not None and len(self._fetched) < WINDOW and time.monotonic() < deadline:
            before = len(self._fetched)
            try:
                self._connection.drain_events(timeout=quiet)
            except TimeoutError:
                if len(self._fetched) == before:
                    break
        fetched = list(self._fetched)
        self._fetched.clear()
        return fetched

    def _can_be_sent(self, raw: Any) -> bool:
        if is_readable(raw):
            return True
        text = "its properties can't be decoded, and it can't be sent as it was"
        self._emit({"stays": {"source": self._source, "text": text}})
        return False

    def _is_known(self, raw: Any) -> bool:
        identity = _identity(raw)
        if not self._known[identity]:
            return False
        self._known[identity] -= 1
        return True

    def _send(self, messages: Sequence[Any]) -> int:
        """Publish messages to the queue on the way; return how many they are when all are confirmed."""
        if not messages:
            return 0
        confirms = Confirms.of(self._first)
        tags = []
        for raw in messages:
            kept = {name: value for name, value in headers_of(raw).items() if not BROKER_S_OWN.fullmatch(str(name))}
            properties = {name: value for name, value in raw.properties.items() if name not in UNSENT}
            properties |= {"application_headers": kept, "delivery_mode": 2}
            self._first.basic_publish(
                Message(raw.body, **properties), exchange="", routing_key=self._interim, mandatory=True
            )
            tags.append(confirms.last)
        confirms.wait(confirms.last, time.monotonic() + ANSWER_TIMEOUT)
        if any(confirms.answer(tag) is not Answer.TAKEN for tag in tags):
            raise Refused(f"Queue {self._interim!r} takes no more. What is not moved stays in {self._source!r}.")
        return len(messages)

    def _wait_for(self, count: int) -> None:
        deadline = time.monotonic() + ANSWER_TIMEOUT
        while len(self._on_the_way) < count:
            self._connection.drain_events(timeout=max(0.1, deadline - time.monotonic()))


def _identity(raw: Any) -> tuple[str, str, bytes]:
    """Return what is the same for two copies of a message."""
    headers = headers_of(raw)
    return str(headers.get("id")), str(headers.get("retries")), blake2b(bytes(raw.body), digest_size=16).digest()


def _arguments(app: Any, queue: str) -> dict[str, Any]:
    declared = app.amqp.queues[queue]
    return {declared.name: declared.queue_arguments}


def _leading_to(target: str) -> dict[str, str | int]:
    """Return the arguments of a queue from which the broker moves what is rejected to another, and loses nothing."""
    return {
        **QUORUM,
        "x-delivery-limit": NO_DELIVERY_LIMIT,
        "x-overflow": "reject-publish",
        "x-dead-letter-exchange": target,
        "x-dead-letter-routing-key": target,
        "x-dead-letter-strategy": "at-least-once",
    }
