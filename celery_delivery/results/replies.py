"""Results that go to the process, and thread, that sent the task: Celery's rpc backend with its faults mended.

fault of the stock rpc backend                                seen as                                  mend
------------------------------------------------------------  ---------------------------------------  ----------------
results that nobody reads stay for a day, however many        the broker's memory                      MOST_REPLIES
each task class of a process has a queue for them             a connection per class                   replies
the queue is declared, and waited for, with each task; for    a third of the time of `.delay()`;       on_task_call
ever where the broker is away                                 it hangs
a forked child has its parent's queue and connection          results arrive at the wrong process      ReplyBackend
a broker that was away once is not read from any more         each `.get()` times out                  ReplyConsumer
"""

import threading
import time
import uuid
from typing import Any
from weakref import WeakSet

from amqp.exceptions import AMQPError, NotFound
from celery import Celery, _state
from celery.backends.rpc import ResultConsumer, RPCBackend
from celery.utils.log import get_logger

from celery_delivery import forks
from celery_delivery.results.tolerant import Tolerant
from celery_delivery.sending.pools import broker_key, hang_up
from celery_delivery.sending.producer import PASSING, Producer

REPLIES = "replies."  # begins the name of every queue for results
MOST_REPLIES = 100_000  # results that wait in such a queue; the oldest go first
PAUSE = 1.0  # seconds until the next attempt to read; `.get()` looks at its own timeout as often

# What another attempt may cure; in a cluster the queue is not found while its node is down.
LOST = (*PASSING, NotFound)

_log = get_logger(__name__)


class ReplyConsumer(ResultConsumer):
    """Reads results while somebody waits for one, over one connection after another."""

    _connection: Any = None
    _consumer: Any = None

    def consume_from(self, task_id: str) -> None:
        """Leave it to drain_events, which is called as long as somebody waits."""

    def drain_events(self, timeout: float | None = None) -> None:
        """Read once; raises TimeoutError when nothing came, where the broker is away too: who waits has a limit of their own.

        What another attempt does not cure, such as a missing right, is raised as it is.
        """
        try:
            self._reading().drain_events(timeout=timeout)
        except LOST as error:
            if self._consumer is not None and isinstance(error, TimeoutError):
                raise  # all is well, and nothing came
            if self._consumer is not None:
                _log.warning("No results come until the broker is back: %s", error)
            self.leave()
            time.sleep(PAUSE)
            raise TimeoutError(str(error)) from error
        except AMQPError:
            self.leave()
            raise

    def leave(self) -> None:
        """Leave the connection, without a word on the line; the next who waits has another."""
        if self._connection is not None:
            hang_up(self._connection)
        self._connection = self._consumer = None

    on_after_fork = leave  # it is the parent's

    def _reading(self) -> Any:
        """Return a connection that results come by."""
        if self._consumer is None:
            self._connection = connection = self.app.connection()
            hosts = len(connection.alt) or 1
            connection.ensure_connection(max_retries=hosts - 1, interval_start=0, reraise_as_library_errors=False)
            queues = [self.backend.binding]
            consumer = self.Consumer(
                connection.default_channel, queues, callbacks=[self.on_state_change], no_ack=True, accept=self.accept
            )
            consumer.consume()
            self._consumer = consumer
        return self._connection


class ReplyBackend(Tolerant, RPCBackend):
    """Sends a result to the process, and thread, that sent the task."""

    ResultConsumer = ReplyConsumer

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._name_queue()
        _made.add(self)

    def on_task_call(self, producer: Any, task_id: str) -> None:
        """Have the queue for results declared with the task; not in a pool's process, which may not wait for results."""
        if not isinstance(producer, Producer):
            super().on_task_call(producer, task_id)
        elif not _state.task_join_will_block():
            producer.expect_replies(self)

    @property
    def binding(self) -> Any:
        """The queue for results."""
        return self.Queue(
            self.oid,
            self.exchange,
            self.oid,
            durable=True,
            auto_delete=True,
            expires=self.expires,
            message_ttl=self.expires,
            max_length=MOST_REPLIES,
        )

    def renew(self) -> None:
        """Take another queue, because the node of this one is down; the results that were to go there are lost.

        Should the node come back, the broker removes the queue after `result_expires`.
        """
        self._name_queue()
        self.result_consumer.leave()

    def _after_fork(self) -> None:
        super()._after_fork()
        self._name_queue()

    def _name_queue(self) -> None:
        self.oid = f"{REPLIES}{uuid.uuid4()}"


def replies(app: Celery, url: str | None = None) -> ReplyBackend:
    """Return the backend that all apps of a thread share which have the same broker."""
    backends: dict[str, ReplyBackend] = _of_thread.__dict__
    key = broker_key(app)
    if key not in backends:
        forks.let_go_in_children(_start_anew)
        backends[key] = ReplyBackend(app, url=url)
    return backends[key]


_of_thread = threading.local()
_made: WeakSet[ReplyBackend] = WeakSet()


def _start_anew() -> None:
    for backend in _made:
        backend._after_fork()  # noqa: SLF001 - one of our own
