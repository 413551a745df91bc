"""Where results go: CELERY_TASKS_RESULTS, and Celery's rpc backend with its faults mended.

fault of the stock rpc backend                                seen as                                  mend
------------------------------------------------------------  ---------------------------------------  ----------------
results that nobody reads stay for a day, however many        the broker's memory                      MOST_REPLIES
each task class of a process has a queue for them             a connection per class                   replies
the queue is declared, and waited for, with each task; for    a third of the time of `.delay()`;       on_task_call
ever where the broker is away                                 it hangs
a forked child has its parent's queue and connection          results arrive at the wrong process      ReplyBackend
"""

import os
import threading
import uuid
from typing import Any
from weakref import WeakSet

from celery import Celery
from celery._state import task_join_will_block
from celery.backends.rpc import ResultConsumer, RPCBackend

from celery_tasks.pools import broker_key, close_copy
from celery_tasks.sending import Producer

REPLIES = "replies."  # begins the name of every queue for results
MOST_REPLIES = 100_000  # results that wait in such a queue; the oldest go first


class ReplyConsumer(ResultConsumer):
    """Reads results; leaves the connection of a parent process alone."""

    _connection: Any
    _consumer: Any

    def on_after_fork(self) -> None:
        """Close this process's copy of the parent's socket, without a word on the line."""
        connection, self._connection, self._consumer = self._connection, None, None
        if connection is not None:
            close_copy(connection)


class ReplyBackend(RPCBackend):
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
        elif not task_join_will_block():
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
        """Take another queue, because the broker refuses this one; what was on its way there is lost."""
        self._name_queue()
        self.result_consumer.on_after_fork()

    def _after_fork(self) -> None:
        super()._after_fork()
        self._name_queue()

    def _name_queue(self) -> None:
        self.oid = f"{REPLIES}{uuid.uuid4()}"


def replies(app: Celery, url: str | None = None) -> ReplyBackend:
    """Return the backend that all apps of a thread share which have the same broker; named by `result_backend`."""
    backends: dict[str, ReplyBackend] = _of_thread.__dict__
    key = broker_key(app)
    if key not in backends:
        backends[key] = ReplyBackend(app, url=url)
    return backends[key]


_of_thread = threading.local()
_made: WeakSet[ReplyBackend] = WeakSet()


def _start_anew() -> None:
    for backend in _made:
        backend._after_fork()  # noqa: SLF001 - one of our own


os.register_at_fork(after_in_child=_start_anew)
