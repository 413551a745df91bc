"""The right to send ticks on a Redis or a Valkey: a key that runs out unless it is renewed.

    NAME.lock      the token of who leads, for DEADLINE
    NAME.record    the record, see `record`

Each agent's process tries to set the first, where it is not there; who has set it leads, and renews it. A tick is put into its
queue in one transaction with the next record, which the server takes only while the lock has the token of who sends it. So a
leader that was frozen needs no clock to know, here either: what it sends, when another leads, the server refuses.

What a Redis has lost, it has lost: the lock, the record, and tasks. So each process remembers the record: it reads it while
another leads, twice a second. Where lock and record are gone, who led last goes on from there: the others wait for DEADLINE.
"""

from __future__ import annotations

import os
import socket
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from functools import lru_cache
from typing import Any, ClassVar

import redis
from celery.utils.log import get_logger
from kombu import Connection

from .lease import LeaseLost
from .record import Record, decode, encode

# Seconds. Another node follows within this and STEP. It is more than the longest pause between two attempts to connect, so that
# who led last is there before the others have waited for it.
DEADLINE = 5.0
RENEWAL = 1.0  # seconds; a leader may be late by four of them
STEP = 0.5  # seconds between two attempts of who does not lead
TIMEOUT = 2.0  # seconds for an answer, so that a leader that is cut off knows before another one leads

_log = get_logger(__name__)


class Memory:
    """What a process knows of a record, over all its connections.

    process: what its tokens begin with: its host and pid, for people, and what no other process has.
    record: as it has read or written it.
    led_last: whether it was this process that wrote it, and it has seen no other one lead since.
    lost: since when it has seen that nobody leads and Redis has no record, by the monotonic clock; None where that is not so.
    """

    def __init__(self) -> None:
        """Know of nothing."""
        self.process = f"{socket.gethostname()} {os.getpid()} {uuid.uuid4()} "
        self.record = Record()
        self.led_last = False
        self.lost: float | None = None

    def learn(self, found: Record | None, holder: bytes | None, now: float) -> None:
        """Take in what a Redis has: the record and the token of who leads, each None where there is none."""
        if found is not None:
            self.record = found.joined(self.record)
        if holder is not None and not holder.startswith(self.process.encode()):
            self.led_last = False
        if found is not None or holder is not None:
            self.lost = None
        elif self.lost is None:
            self.lost = now

    def leaves_it_to_another(self, now: float) -> bool:
        """Say whether another process knows more of a record that is lost, and still has time to lead."""
        knows_of_one = bool(self.record.entries)
        return knows_of_one and not self.led_last and self.lost is not None and now - self.lost < DEADLINE


_memories: dict[str, Memory] = {}  # by name, of this process


class Lock:
    """A candidacy over one connection, until that or the right is lost; all may raise one of LOST."""

    LOST: ClassVar[tuple[type[Exception], ...]] = (LeaseLost, redis.RedisError, OSError)
    REFUSED: ClassVar[tuple[type[Exception], ...]] = (redis.ResponseError,)
    OPTIONS: ClassVar[Mapping[str, Any]] = {
        "transport_options": {"socket_timeout": TIMEOUT, "socket_connect_timeout": TIMEOUT}
    }

    def __init__(self, connection: Connection, name: str) -> None:
        """Stand for the right of a name, over a connection that is open."""
        self.connection = connection
        self.channel = connection.channel()
        self._client: Any = redis.Redis(connection_pool=self.channel.pool)
        self._name = name
        self._lock, self._kept = (f"{self.channel.global_keyprefix}{name}.{each}" for each in ("lock", "record"))
        self._memory = _memories.setdefault(name, Memory())
        self._token = f"{self._memory.process}{uuid.uuid4()}"
        self._record: Record | None = None
        self._renewed = 0.0

    def stand(self, *, declares: bool) -> None:
        """Become a candidate; there is nothing to declare."""
        del declares
        self._memory.lost = None  # what was between two connections nobody here has seen
        self._attempt()

    @property
    def record(self) -> Record | None:
        """The record, where this one leads."""
        return self._record

    def wait(self, seconds: float) -> None:
        """Wait for so long, STEP at most, and see to the right."""
        time.sleep(min(seconds, STEP))
        if self._record is None:
            self._attempt()
        elif time.monotonic() - self._renewed > RENEWAL:
            self._transact(self._record, lambda _: None)

    def write(self, record: Record, send: Callable[[], None] = lambda: None) -> list[Any]:
        """Replace the record, and with it send what `send` publishes on the channel: there is no answer to that.

        Raises LeaseLost where this one does not lead.
        """
        with self.channel.conn_or_acquire() as client:
            written = client.pipeline()
        with _keeping(self.channel, written):
            send()

        def fill(transaction: Any) -> None:
            transaction.command_stack.extend(written.command_stack)
            transaction.set(self._kept, encode(record))

        self._transact(record, fill)
        self._memory.record, self._memory.led_last = record, True
        return []

    def resign(self) -> None:
        """Let another one lead."""
        if self._record is not None:
            self._transact(None, lambda transaction: transaction.delete(self._lock))
        self.connection.close()

    def _attempt(self) -> None:
        begun = time.monotonic()
        with self._client.pipeline(transaction=False) as looks:
            holder, body = looks.get(self._lock).get(self._kept).execute()
        self._memory.learn(_decoded(body), holder, begun)
        if holder is not None or self._memory.leaves_it_to_another(begun):
            return
        if self._client.set(self._lock, self._token, nx=True, px=int(DEADLINE * 1000)):
            self._record = self._read().joined(self._memory.record)  # read again: one may have led for a moment
            self._renewed = begun
            if self._record.entries:  # else there is nothing that others have to know, should it be lost again
                self.write(self._record)

    def _read(self) -> Record:
        body = self._client.get(self._kept)
        found = _decoded(body)
        if found is None and body is not None:
            _log.error("What is in the key %s is dropped: it is no record", self._kept)
        return found or Record()

    def _transact(self, record: Record | None, fill: Callable[[Any], object]) -> None:
        """Have the server do all of it, with the lock renewed, or nothing where the lock is another's."""
        begun = time.monotonic()
        self._record = None  # until it is known
        with self._client.pipeline() as transaction:
            transaction.watch(self._lock)
            if transaction.get(self._lock) != self._token.encode():
                raise LeaseLost("its lock has run out, or Redis has lost it")
            transaction.multi()
            transaction.pexpire(self._lock, int(DEADLINE * 1000))
            fill(transaction)
            try:
                transaction.execute()
            except redis.WatchError as error:
                raise LeaseLost("its lock has run out") from error
        self._record, self._renewed = record, begun


@lru_cache(maxsize=1)  # who waits reads the same one twice a second: of 1,000 entries that is 2 ms
def _decoded(body: bytes | None) -> Record | None:
    try:
        return None if body is None else decode(body)
    except ValueError:
        return None


@contextmanager
def _keeping(channel: Any, written: Any) -> Iterator[None]:
    """Have what a channel puts into queues stay in a pipeline: kombu writes each message by itself."""

    def kept(put: Callable[..., None]) -> Callable[..., None]:
        def keep(*args: Any, **options: Any) -> None:
            channel.conn_or_acquire = lambda: nullcontext(_Client(written))
            try:
                put(*args, **options)
            finally:
                del channel.conn_or_acquire  # what it looks up is asked for over a connection

        return keep

    channel._put, channel._put_fanout = kept(channel._put), kept(channel._put_fanout)
    try:
        yield
    finally:
        del channel._put, channel._put_fanout


class _Client:
    """A client whose commands go into one pipeline, which is not sent."""

    def __init__(self, pipeline: Any) -> None:
        self._pipeline = pipeline

    def __getattr__(self, name: str) -> Any:
        return getattr(self._pipeline, name)

    def pipeline(self) -> Any:
        return nullcontext(self)

    def execute(self) -> None:
        """Leave it to the transaction."""
