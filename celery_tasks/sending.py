"""How a task gets to the broker: confirmed, within a bounded time, over connections that a whole process shares.

    fault of stock Celery 5.7                                    seen as                                   here
    -----------------------------------------------------------  ----------------------------------------  ------------
    a publish is not confirmed                                   broker killed: 238 tasks lost, no error   confirms
    a broker that is away or frozen is waited for                `.delay()` hangs for more than 75 s       SEND_TIMEOUT
    what no queue takes is dropped                               no error                                  mandatory
    a forked child uses its parent's sockets, or shuts them      answers mixed up, the parent's            _let_go
    down                                                         connection lost

A publish that fails is tried again until its time is over, with the same task id: the broker may have it already.
"""

import logging
import os
import time
from datetime import UTC, datetime
from typing import Any
from weakref import WeakSet

from amqp.exceptions import (
    AMQPError,
    InternalError,
    RecoverableChannelError,
    RecoverableConnectionError,
    UnexpectedFrame,
)
from celery import Celery
from celery.app.amqp import AMQP
from kombu.connection import ConnectionPool
from kombu.exceptions import LimitExceeded, OperationalError
from kombu.messaging import Producer as StockProducer
from kombu.pools import ProducerPool

from celery_tasks import delays
from celery_tasks.confirms import Confirms
from celery_tasks.delivery import CONNECT_TIMEOUT
from celery_tasks.queues import TaskQueue, declare

SEND_TIMEOUT = 10.0  # seconds for one task; a quorum queue has another leader in 3 s
FIRST_PAUSE, LONGEST_PAUSE = 0.1, 1.0  # seconds between two attempts; each pause is twice the one before

# What another attempt may cure. Everything else is the broker's last word, such as a missing right.
PASSING = (OSError, RecoverableConnectionError, RecoverableChannelError, InternalError, UnexpectedFrame)


class SendError(OperationalError):
    """A task was not confirmed by the broker; `task_id` says which."""

    def __init__(self, text: str, task_id: str | None) -> None:
        super().__init__(text)
        self.task_id = task_id

    def __reduce__(self) -> tuple[Any, ...]:
        """Let it be pickled: a pool's process tells of it that way, and what can't be read back ends the worker."""
        return type(self), (str(self), self.task_id)


class NotAccepted(SendError):
    """The broker does not have the task: it refused it, or could not be reached."""


class Unconfirmed(SendError):
    """The broker may have the task or not: it was sent, and no answer came. Send it again with the same task id."""


class Producer(StockProducer):
    """Publishes a task so that the broker has it when the call returns; else raises NotAccepted or Unconfirmed.

    Other messages are results. They are for somebody who may be gone, so that no queue takes them: nobody waits for these.
    """

    _reply_queue: Any = None
    _was_sent = False  # whether the present call has written its task to the broker

    def expect_replies(self, queue: Any) -> None:
        """Have a queue for results declared with the next task."""
        self._reply_queue = queue

    def publish(self, body: Any, **options: Any) -> None:
        """Publish a message, again and again until it is confirmed or its time is over.

        confirm_timeout among the options: seconds, instead of SEND_TIMEOUT. Without `retry` there is one attempt.
        """
        options, seconds, may_try_again = self._prepared(options)
        attempt = self._send_and_wait if _is_task(options) else self._send_unseen
        deadline = time.monotonic() + seconds
        pause = FIRST_PAUSE
        self._was_sent = False
        while True:
            try:
                return attempt(body, options, deadline)
            except (AMQPError, OSError) as error:
                failure = self._failure(error, options, seconds)
                self.connection.collect()  # an answer that comes late must not meet the next message
                self.revive(self.connection)  # else every later attempt meets the channel that is gone
                is_over = time.monotonic() + pause >= deadline
                if is_over or not may_try_again or not isinstance(error, PASSING):
                    raise failure from error
            self.connection.maybe_switch_next()
            time.sleep(pause)
            pause = min(2 * pause, LONGEST_PAUSE)

    def send(self, body: Any, options: dict[str, Any], deadline: float) -> tuple[Confirms, int]:
        """Write a task to the broker and don't wait: return what will know the answer, and the task's number there.

        Raises AMQPError or OSError.
        """
        channel = self._connect(deadline)
        confirms = Confirms.of(channel)
        for queue in options["declare"]:
            self._declare(queue, channel)
        route = self._route(options, channel)
        self._was_sent = True
        super().publish(body, **{**options, **route, "declare": None, "mandatory": True})
        return confirms, confirms.last

    def _prepared(self, options: dict[str, Any]) -> tuple[dict[str, Any], float, bool]:
        """Return the options that concern the message, the seconds that it may take, and whether to try again."""
        seconds = options.pop("confirm_timeout", None) or SEND_TIMEOUT
        may_try_again = bool(options.pop("retry", False))
        options.pop("retry_policy", None)
        replies, self._reply_queue = self._reply_queue, None
        declare = list(options.pop("declare", None) or ())
        if replies is not None:
            declare.append(replies)
            options["reply_to"] = replies.name
        return {**options, "declare": declare}, seconds, may_try_again

    def _send_and_wait(self, body: Any, options: dict[str, Any], deadline: float) -> None:
        confirms, tag = self.send(body, options, deadline)
        confirms.wait(tag, deadline)
        refusal = confirms.refusal(tag)
        if refusal is not None:
            # What was declared may have been deleted: the next task declares it again.
            self.connection.declared_entities.clear()
            raise NotAccepted(f"{_named(options)} is refused by {self.connection.as_uri()}: {refusal}", _id(options))

    def _send_unseen(self, body: Any, options: dict[str, Any], deadline: float) -> None:
        self._connect(deadline)
        super().publish(body, **options)

    def _connect(self, deadline: float) -> Any:
        connection = self.connection
        connection.connect_timeout = max(0.1, min(CONNECT_TIMEOUT, deadline - time.monotonic()))
        connection.ensure_connection(max_retries=0, reraise_as_library_errors=False)
        return self.channel

    def _declare(self, queue: Any, channel: Any) -> None:
        """Declare a queue without waiting: what the broker has against it, it says by closing the channel."""
        declared = self.connection.declared_entities
        if not queue.can_cache_declaration or hash(queue) not in declared:
            queue.bind(channel).declare(nowait=True)
            declared.add(hash(queue))

    def _route(self, options: dict[str, Any], channel: Any) -> dict[str, Any]:
        """Return exchange and routing key: a queue's own, instead of the exchange that leads to every queue, or a delay.

        Raises DelayError for a time that is too far away.
        """
        queue = next((each for each in options["declare"] if isinstance(each, TaskQueue)), None)
        if queue is None or options["exchange"] != "":
            return {}
        seconds = delays.seconds_until(options["headers"].get("eta"), datetime.now(UTC))
        if not seconds:
            return {"exchange": queue.exchange.name, "routing_key": queue.routing_key}
        levels = f"the delays of {queue.name}"
        if not queue.no_declare and levels not in self.connection.declared_entities:
            declare(delays.topology([queue.name]), channel)
            self.connection.declared_entities.add(levels)
        # A time to live that is shorter than a stay would end it; the worker looks at `expires` too.
        return {"exchange": delays.FIRST, "routing_key": delays.routing_key(seconds, queue.name), "expiration": None}

    def _failure(self, error: Exception, options: dict[str, Any], seconds: float) -> SendError:
        broker = self.connection.as_uri()
        if not isinstance(error, PASSING):
            return NotAccepted(f"{_named(options)} is refused by {broker}: {error}", _id(options))
        reason = str(error) or repr(error)
        if not self._was_sent:
            text = f"{_named(options)} was not sent: {broker} can't be reached within {seconds:g} s ({reason})"
            return NotAccepted(text, _id(options))
        if self._is_blocked():
            reason = "the broker takes nothing because it is short of memory or disk"
        return Unconfirmed(
            f"{_named(options)} may have been accepted or not: {broker} has not confirmed it within {seconds:g} s "
            f"({reason}). Send it again with the same task_id",
            _id(options),
        )

    def _is_blocked(self) -> bool:
        channel = self._channel
        return bool(getattr(getattr(channel, "confirms", None), "is_blocked", False))


class Sending(AMQP):
    """Celery's `app.amqp` for apps that promise what they send."""

    Producer = Producer

    @property
    def producer_pool(self) -> "Pool":
        """The producers that all apps of this process share which have the same broker."""
        key = broker_key(self.app)
        pool = _pools.get(key)
        if pool is None:
            pool = _pools.setdefault(key, Pool(self.app.connection_for_write(), self.app.conf.broker_pool_limit))
        return pool


class Pool(ProducerPool):
    """Producers with a connection each, for whichever thread needs one."""

    close_after_fork = False  # kombu would shut the parent's sockets down; _let_go sees to it

    def __init__(self, connection: Any, limit: int | None) -> None:
        """Take connections with the settings of one that is not open; at most `limit` at a time, None for no limit."""
        super().__init__(Connections(connection, limit), limit=limit, Producer=Producer)

    def acquire(self, block: bool = False, timeout: float | None = None) -> Producer:
        """Return a free producer; raises NotAccepted when there is none for so long."""
        try:
            producer: Producer = super().acquire(block=block, timeout=SEND_TIMEOUT if timeout is None else timeout)
        except LimitExceeded as error:
            raise NotAccepted(
                f"nothing was sent: all {self.limit} connections to the broker were busy for {SEND_TIMEOUT:g} s; "
                "broker_pool_limit allows more",
                None,
            ) from error
        return producer


class Connections(ConnectionPool):
    """Connections of producers."""

    close_after_fork = False

    def __init__(self, connection: Any, limit: int | None) -> None:
        self.made: WeakSet[Any] = WeakSet()
        super().__init__(connection, limit=limit)

    def new(self) -> Any:
        """Return a connection that is not open yet."""
        connection = super().new()
        self.made.add(connection)
        return connection


def broker_key(app: Celery) -> str:
    """Return what is the same for apps that can share connections."""
    return repr([app.conf[name] for name in _KEY])


_KEY = ("broker_write_url", "broker_use_ssl", "broker_transport_options", "broker_login_method", "broker_pool_limit")
_pools: dict[str, Pool] = {}


def _let_go() -> None:
    """In a forked child: close its copies of the parent's sockets, without a word on the line."""
    for pool in _pools.values():
        for connection in pool.connections.made:
            if connection.connected:
                connection.connection.transport.sock.close()
    _pools.clear()


os.register_at_fork(after_in_child=_let_go)

# Celery warns, for each task with a delay, that its own delays do not work with direct exchanges. They are not used here.
logging.getLogger("celery.app.base").addFilter(lambda record: "Direct exchanges" not in str(record.msg))


def _is_task(options: dict[str, Any]) -> bool:
    return "task" in (options.get("headers") or {})


def _id(options: dict[str, Any]) -> str | None:
    return (options.get("headers") or {}).get("id")


def _named(options: dict[str, Any]) -> str:
    headers = options.get("headers") or {}
    return f"task {headers['task']}[{headers['id']}]" if "task" in headers else "a result"
