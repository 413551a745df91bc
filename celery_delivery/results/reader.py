"""Reads results from the queues of a process, over one connection after another, for all of its threads.

fault of the stock consumer                                   seen as                                  mend
------------------------------------------------------------  ---------------------------------------  ----------------
a broker that was away once is not read from any more         each `.get()` times out                  drain_events
threads that wait at the same time read from one connection   "unknown delivery tag"; `.get()` hangs   TakingTurns
                                                              past its timeout
a result is the broker's no longer when it is written to    a connection that is lost takes       message.ack
the connection                                                results along
what is no result, or too large a one, is raised in whatever   `.get()` of another result fails         _on_message
thread reads just then
who polls a task looks into the queue, whose messages go to   PENDING for ever, where any thread of    known
whoever has waited                                            the process has waited for any result
"""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

from amqp.exceptions import AMQPError, NotFound, PreconditionFailed
from celery.backends.asynchronous import Drainer
from celery.backends.rpc import ResultConsumer
from celery.states import PENDING, READY_STATES
from celery.utils.functional import LRUCache
from celery.utils.log import get_logger

from celery_delivery.broker.bodies import TEXT
from celery_delivery.broker.urls import connect_to_any
from celery_delivery.sending.pools import hang_up
from celery_delivery.sending.producer import PASSING

PAUSE = 1.0  # seconds until the next attempt to read; `.get()` looks at its own timeout as often
MOST_STATES = 10_000  # tasks whose states between are kept, for whoever polls them
PAUSE_OF_OLD = 10.0  # seconds until the next look for a former queue whose node is down

# What another attempt may cure; in a cluster the queue is not found while its node is down.
LOST = (*PASSING, NotFound)

_log = get_logger(__name__)


class TakingTurns(Drainer):
    """Has one thread at a time read; the others wait for what it reads."""

    def __init__(self, consumer: Any) -> None:
        super().__init__(consumer)
        self._turn = threading.Condition()
        self._reader: int | None = None  # the thread

    def drain_events_until(
        self, p: Any, timeout: float | None = None, interval: float = 1, **options: Any
    ) -> Iterator[Any]:
        """Read until a promise is kept; raises TimeoutError after `timeout` seconds, which is looked at each `interval`."""
        shorter = interval if timeout is None else min(interval, timeout)
        yield from super().drain_events_until(p, timeout=timeout, interval=shorter, **options)

    def wait_for(self, p: Any, wait: Any, timeout: float | None = None) -> None:
        """Read once, or wait until another thread has."""
        with self._turn:
            if p.ready:
                return
            if self._is_of_another():
                self._turn.wait(timeout)
                return
        self.in_turn(lambda: wait(timeout=timeout))

    def in_turn(self, read: Callable[[], None]) -> None:
        """Read, unless another thread does."""
        me = threading.get_ident()
        with self._turn:
            if self._is_of_another():
                return
            outer, self._reader = self._reader, me  # a callback of a result may wait for another
        try:
            read()
        finally:
            with self._turn:
                self._reader = outer
                self._turn.notify_all()

    def _is_of_another(self) -> bool:
        return self._reader not in {None, threading.get_ident()}


class ReplyConsumer(ResultConsumer):
    """Reads results while somebody waits for one."""

    drainer: Any
    _connection: Any = None

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._start()

    def consume_from(self, task_id: str) -> None:
        """Leave it to drain_events, which is called as long as somebody waits."""

    def drain_events(self, timeout: float | None = None) -> None:
        """Read once; raises TimeoutError when nothing came, where the broker is away too: who waits has a limit of their own.

        What another attempt does not cure, such as a missing right, is raised as it is.
        """
        self._read(lambda connection: connection.drain_events(timeout=timeout))

    def known(self, task_id: str) -> dict[str, Any]:
        """Return the newest state of a task as it came, once what the broker has for this process has been read."""
        self._polled[task_id] = None
        if isinstance(self.drainer, TakingTurns):
            with suppress(TimeoutError):
                self.drainer.in_turn(lambda: self._read(self._ask))
        else:
            self.drainer.start()  # a greenlet, which reads from now on
        with self.backend.lock:
            buffered = self._pending_messages.get(task_id)
            result = self._polled.pop(task_id, None) or (buffered[-1] if buffered else None)
            newest = result or self._states.get(task_id)
            return dict(newest or {"status": PENDING, "result": None})

    def _ask(self, _connection: Any) -> None:
        """Ask for the newest of the queues that are read: all that is in it comes before the answer."""
        read = (queue.name for queue in reversed(self.backend.queues) if queue.name in self._consumers)
        name = next(read, None)
        if name is not None:  # none is read where a thread that sends has just replaced the only one
            (bound,) = self._consumers[name].queues
            bound.queue_declare(passive=True)

    def _read(self, read: Callable[[Any], None]) -> None:
        try:
            read(self._reading())
        except LOST as error:
            if self._consumers and isinstance(error, TimeoutError):
                raise  # all is well, and nothing came
            if not self._is_of_former_queue(error):
                self._lose(error)
            raise TimeoutError(str(error)) from error
        except PreconditionFailed as error:  # what came was not read for longer than the broker waits, and comes again
            self.leave()
            raise TimeoutError(str(error)) from error
        except AMQPError:
            self.leave()
            raise

    def on_state_change(self, meta: Any, message: Any) -> None:
        """Give a result to whoever waits for it."""
        with self.backend.lock:
            super().on_state_change(meta, message)
            if meta["status"] in READY_STATES:
                self._states.pop(meta["task_id"], None)
                if meta["task_id"] in self._polled:
                    self._polled[meta["task_id"]] = meta
            else:
                self._states[meta["task_id"]] = meta

    def _on_message(self, message: Any) -> None:
        meta = None
        try:
            if message.content_type != TEXT:
                meta = message.decode()
        except Exception as error:  # of whatever decodes it
            self._on_unreadable(message, error)
            return
        match meta:
            case {"task_id": str(), "status": str(), "result": _}:
                self.on_state_change(meta, message)
                message.ack()
            case _:
                self._on_unreadable(message, ValueError("it is none"))

    def _on_unreadable(self, message: Any, error: Exception) -> None:
        """Drop what is no result, whose sender is unknown: it must not disturb who waits for another."""
        _log.error(
            "A result can't be read, and is dropped (task %s): %s", message.properties.get("correlation_id"), error
        )
        message.ack()

    def leave(self) -> None:
        """Leave the connection, without a word on the line; the next who waits has another."""
        if self._connection is not None:
            hang_up(self._connection)
        self._connection = None
        self._channels: dict[str, Any] = {}  # by queue
        self._consumers: dict[str, Any] = {}
        self._not_before: dict[str, float] = {}  # by the monotonic clock, for former queues that were not found

    def on_after_fork(self) -> None:
        """Have nothing of the parent's: its connection, its turns."""
        self.leave()
        self._start()

    def _start(self) -> None:
        self._states = LRUCache(limit=MOST_STATES)  # that are not final, by task id
        # What has come for whoever polls just now, though another may have got it, by task id.
        self._polled: dict[str, Any] = {}
        self.leave()
        if type(self.drainer) in {Drainer, TakingTurns}:  # greenlets have one that reads for all of them
            self.drainer = TakingTurns(self)

    def _lose(self, error: Exception) -> None:
        if self._consumers:
            _log.warning("No results come until the broker is back: %s", error)
        for name in self._channels:  # the broker was there, so it may be the queue that is not
            self.backend.renew(name)
        self.leave()
        time.sleep(PAUSE)

    def _is_of_former_queue(self, error: Exception) -> bool:
        """Say whether it is a former queue that is not found; it is left alone for a while."""
        current, *former = reversed(self.backend.queues)
        lost = next((queue.name for queue in former if isinstance(error, NotFound) and queue.name in str(error)), None)
        if lost is None or current.name not in self._consumers:
            return False
        del self._consumers[lost]
        self._not_before[lost] = time.monotonic() + PAUSE_OF_OLD
        return True

    def _reading(self) -> Any:
        """Return a connection that results come by."""
        if self._connection is None:
            connection = self.app.connection()
            self._connection = connection
            connect_to_any(connection)
        current = self.backend.newest
        if current.name not in self._consumers:
            consumer = self._consumer(current)
            (bound,) = consumer.queues
            bound.queue_declare()
            consumer.consume()
            self._consumers[current.name] = consumer
        now = time.monotonic()
        for queue in self.backend.queues[:-1]:
            if queue.name not in self._consumers and self._not_before.get(queue.name, now) <= now:
                # Nothing is waited for: RabbitMQ 4.0 says nothing for a minute of a queue whose node is down.
                consumer = self._consumer(queue)
                (bound,) = consumer.queues
                bound.queue_declare(nowait=True)
                consumer._basic_consume(bound, nowait=True)
                self._consumers[queue.name] = consumer
        return self._connection

    def _consumer(self, queue: Any) -> Any:
        """Return a consumer of a queue, on a channel of its own: what the broker has against one does not hold up another."""
        name = queue.name
        if name not in self._channels:
            self._channels[name] = self._connection.channel()
            self._channels[name].auto_decode = False  # a message may name an encoding that takes hours
        return self.Consumer(
            self._channels[name],
            [queue],
            on_message=self._on_message,
            on_decode_error=self._on_unreadable,
            accept=self.accept,
            auto_declare=False,
        )
