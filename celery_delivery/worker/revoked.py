"""What a worker knows of revoked tasks: all that the stream has when it connects, and what comes to it from then on.

    a task that                 its caller is told, by Celery's own request, when
    --------------------------  --------------------------------------------------------------------
    waits in a queue            it comes to a worker, which knows of the revocation before it takes tasks
    waits in the worker         a place in the pool is free
    runs, in a process          the process has been sent the signal, where the revocation has one
    runs, a coroutine on        its coroutine has ended by the cancellation
    the pool of threads
    runs, elsewhere             it goes on, and a line in the log says so

Where the stream can't be read tasks are run all the same, and a line in the log says why.
"""

import time
from functools import partial
from typing import Any

from amqp.exceptions import ChannelError, NotFound, ResourceLocked
from celery import bootsteps
from celery.utils.log import get_logger
from celery.worker import state

from celery_delivery import internals, mending
from celery_delivery.coroutines import hosting
from celery_delivery.sending.revocation import Revocation, decode, encode
from celery_delivery.settings.profile import clients_declare, is_safe
from celery_delivery.topology.revocations import LOCK, NAME, declare

PATIENCE = 10.0  # seconds for reading the stream before the first task; 20,000 messages take 2
SOON = 0.02  # seconds until it is looked again whether another worker has made the stream
EMPTY = 0.5  # seconds after which a stream from which nothing has come is taken for empty
AGAIN = 5.0  # seconds until a stream that can't be read is looked for again
PREFETCH = 500
TAG = "all"  # of the consumer

UNREAD = "Revoked tasks may be run until %s can be read: %s"

_log = get_logger(__name__)


class Revoked(bootsteps.StartStopStep):
    """Reads the stream, at each connection before the worker takes its first task."""

    requires = ("celery.worker.consumer.connection:Connection",)

    def __init__(self, consumer: Any, **kwargs: Any) -> None:
        """Have no connection yet."""
        super().__init__(consumer, **kwargs)
        self._reader: _Reader | None = None

    def include_if(self, consumer: Any) -> bool:
        """Say whether tasks are revoked by way of the broker here."""
        conf = consumer.app.conf
        return is_safe(conf) and not conf.worker_enable_remote_control and mending.applies(internals.worker.REVOKED)

    def start(self, consumer: Any) -> None:
        """Return once all is known that the stream has. Celery's set forgets the oldest of too many, and none for its age."""
        state.revoked.expires = 0
        self._reader = _Reader(consumer)
        try:
            self._reader.read()
        except _TooMuch as error:
            _log.warning("Revoked tasks may be run: %s", error)
        except ChannelError as error:
            self._reader.look_after(error)

    def stop(self, _consumer: Any) -> None:
        """Forget the connection's reader; a timer of it finds it gone."""
        if self._reader is not None:
            self._reader.is_gone = True
            self._reader = None

    shutdown = stop


class _TooMuch(Exception):
    """The stream is not read to its end; the text says why."""


class _Reader:
    """Reads the stream over one connection."""

    def __init__(self, consumer: Any) -> None:
        self.is_gone = False
        self._consumer = consumer
        self._position = -1  # of the message that was read last
        self._told: set[str] = set()

    def read(self) -> None:
        """Begin to read, and return when all that was there has been read.

        Raises ChannelError, and _TooMuch where it takes too long: it is read on then.
        """
        deadline = time.monotonic() + PATIENCE
        channel = self._open()
        newest = self._newest(channel)
        self._consume(channel)
        if newest is None:
            self._begin()
            return
        while self._position < newest:
            if time.monotonic() > deadline:
                raise _TooMuch(f"{NAME} is not at its end after {PATIENCE:g} s. It is read on")
            self._listen()

    def _open(self) -> Any:
        """Return a channel, once the stream is there; raises ChannelError."""
        deadline = time.monotonic() + PATIENCE
        while (channel := self._found()) is None:
            self._make(deadline)
        return channel

    def _found(self) -> Any:
        """Return a channel, None where there is no stream and this worker may make it; raises ChannelError."""
        channel = self._channel()
        try:
            channel.exchange_declare(NAME, "direct", passive=True, nowait=True)
            channel.queue_declare(NAME, passive=True)
        except NotFound:
            if not clients_declare(self._consumer.app.conf):
                raise
            return None
        return channel

    def _make(self, deadline: float) -> None:
        """Make the stream, unless another worker is at it: until it is whole, the broker cuts off who asks for it (541)."""
        channel = self._channel()
        try:
            channel.queue_declare(LOCK, exclusive=True)
        except ResourceLocked:
            if time.monotonic() > deadline:
                raise
            state.maybe_shutdown()
            time.sleep(SOON)
            return
        found = self._found()
        if found is None:
            declare(channel)
            channel.queue_declare(NAME, passive=True)
            self._begin()
        else:  # another worker has made it since
            found.close()
        channel.queue_delete(LOCK)
        channel.close()

    def _channel(self) -> Any:
        channel = self._consumer.connection.channel()
        channel.auto_decode = False
        channel.basic_qos(0, PREFETCH, False)  # a stream gives nothing without
        return channel

    def _begin(self) -> None:
        """Send a revocation of nothing: a stream that has a message gives the newest at once, and from others nothing comes."""
        channel = self._channel()
        message = channel.prepare_message(
            encode(Revocation(())), content_type="application/json", content_encoding="utf-8"
        )
        channel.basic_publish(message, exchange=NAME, routing_key=NAME)
        channel.queue_declare(NAME, passive=True)  # what the broker has against it comes before the answer
        channel.close()

    def _newest(self, channel: Any) -> int | None:
        """Return where the newest message is, None where there seems to be none."""
        found: list[int] = []

        def take(message: Any) -> None:
            message.channel.basic_ack(message.delivery_tag)
            found.append(_position(message))

        where = {"x-stream-offset": "last"}
        channel.basic_consume(NAME, "newest", nowait=True, callback=take, on_cancel=lambda _tag: None, arguments=where)
        deadline = time.monotonic() + EMPTY
        while not found and time.monotonic() < deadline:
            self._listen()
        channel.basic_cancel("newest", nowait=True)
        return found[0] if found else None

    def _consume(self, channel: Any) -> None:
        """Read from the first message on, for as long as the connection is there; raises ChannelError."""
        where = {"x-stream-offset": "first"}
        # The broker may deliver before it says that there is a consumer. py-amqp would reject that, which streams refuse (540).
        channel.callbacks[TAG] = self._take
        channel.basic_consume(NAME, TAG, callback=self._take, on_cancel=self._look_again, arguments=where)

    def _listen(self) -> None:
        state.maybe_shutdown()
        try:
            self._consumer.connection.drain_events(timeout=EMPTY / 5)
        except TimeoutError:
            pass

    def _take(self, message: Any) -> None:
        message.channel.basic_ack(message.delivery_tag)
        self._position = max(self._position, _position(message))
        try:
            revocation = decode(message.body)
        except ValueError as error:
            self._tell_once(
                "What is in %s is left aside where it is no revocation, such as one message: %s", NAME, error
            )
            return
        revoke(revocation, self._consumer)
        if len(state.revoked) >= state.revoked.maxlen:
            self._tell_once("%d tasks are revoked, and no more are kept: the oldest may be run", state.revoked.maxlen)

    def _tell_once(self, text: str, *values: object) -> None:
        if text not in self._told:
            self._told.add(text)
            _log.warning(text, *values)

    def look_after(self, error: ChannelError) -> None:
        """Tell why the stream can't be read, and look for it in a while."""
        self._tell_once(UNREAD, NAME, error)
        self._look_again("")

    def _look_again(self, _tag: str) -> None:
        """Look for the stream in a while: it was deleted, or the node that led it is down."""
        self._consumer.timer.call_after(AGAIN, self._again)

    def _again(self) -> None:
        if self.is_gone:
            return
        try:
            self._consume(self._open())
        except ChannelError as error:
            self.look_after(error)


def revoke(revocation: Revocation, consumer: Any) -> None:
    """Have a worker not begin tasks; and end what runs of them, where the revocation has a signal and the pool can."""
    for each in revocation.ids:
        if each not in state.revoked:
            state.revoked.add(each)
        request = state.requests.get(each) if revocation.signal else None
        if request is not None:
            _end(request, revocation.signal, consumer)


def _end(request: Any, signal: str | None, consumer: Any) -> None:
    if consumer.can_end_tasks:
        _log.warning("%s is revoked: its process gets %s", request, signal)
        try:
            request.terminate(consumer.pool, signal)
        except Exception:  # noqa: BLE001 - of a result store, say: it must not end the worker
            _log.exception("%s is revoked, and nobody could be told", request)
    elif request in state.active_requests:
        goes_on = partial(_log.warning, "%s is revoked and goes on: threads and solo end no function", request)
        hosting.revoke(request.id, goes_on)


def _position(message: Any) -> int:
    return int(message.properties["application_headers"]["x-stream-offset"])
