"""How a worker tells about itself: reports over a socket when it gains or loses its consumer, the rest on the scoreboard.

No polling of the worker: `inspect` would need the broker, and its answers pass through the same loop that may hang.
"""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterable
from operator import attrgetter
from typing import Any

from amqp.exceptions import ConsumerCancelled
from celery.utils.log import get_logger
from celery.worker import state
from celery.worker.request import Request

from ..messages import Connecting, Consuming, Died, Grown, encode
from ..scoreboard import MORE, MOST_ACTIVE, NO_TLS, REFUSED, ActiveTask, Pulse, Scoreboard
from .ends import FAILED, RETRIED, REVOKED, SUCCEEDED
from .faults import reason, text
from .slip import Slip
from .tally import Tally

BUSY_BEAT = 1.0  # seconds between the pulses of a worker that has running tasks
LONGEST = 1_000  # characters of an obstacle, which share a page with the tasks

_STARTED = attrgetter("started")
_log = get_logger(__name__)


class Account:
    """What one worker process has to say; the only one that writes to the daemon."""

    def __init__(self, report: socket.socket, scoreboard: Scoreboard) -> None:
        """Take the two ways to the daemon; `report` is made non-blocking: a daemon that hangs must not hang its workers."""
        self.losing = Slip()  # why results can't be stored; those of the pool write here, too
        self.lost = Tally()  # how many could not
        self.clock: Callable[[], str] = str  # returns by how much the clock of who sends is another
        self._report = report
        self._report.setblocking(False)
        self._scoreboard = scoreboard
        self._writing = threading.Lock()  # never waited for, see write()
        self._is_stale = False
        self._timer: Any = None
        self._queues: tuple[str, ...] = ()
        self._counts = dict.fromkeys((SUCCEEDED, FAILED, RETRIED, REVOKED), 0)
        self._set_aside = 0
        self._beating = False
        self._obstacle = ""
        self._lag = 0.0
        self._still = 0.0
        self.limit: float | None = (
            None  # seconds that a task may run of which neither its class nor its message says it
        )

    def connecting(self) -> None:
        """Tell that there is no consumer, and that one is being sought."""
        self._queues = ()
        self.write()
        self._send(encode(Connecting()))

    def consuming(self, queues: tuple[str, ...], timer: Any, limit: float | None) -> None:
        """Tell that the broker has accepted the consumer of these queues; `timer` is the consumer's, `limit` the pool's."""
        self._queues = queues
        self._timer = timer
        self.limit = limit
        self.write()
        self._send(encode(Consuming()))

    def started(self) -> None:
        """Note that a task has started; in the solo pool the last word until it ends."""
        self.write()
        if not self._beating:
            self._beating = True
            self._timer.call_after(BUSY_BEAT, self._beat)

    def ended(self, how: str | None) -> None:
        """Note that a task has ended, and how, by a word of `ends`; None where that does not count."""
        if how is not None:
            self._counts[how] += 1
        self.write()

    def not_run(self) -> None:
        """Note that a message was taken for which no task is run, or not once more: it has failed."""
        self._set_aside += 1
        self.ended(FAILED)

    def looked(self, queues: tuple[str, ...], obstacle: str, lag: float, still: float) -> None:
        """Tell from which queues there is a consumer at this moment, and what keeps the worker from running tasks.

        lag, still: as in `agent.guest.scoreboard.Pulse`.
        """
        self._queues, self._lag, self._still = queues, lag, still
        self.held_up(obstacle)

    def held_up(self, obstacle: str) -> None:
        """Tell what keeps the worker from running tasks, empty where nothing does any more; the log says so once."""
        if obstacle and obstacle[:LONGEST] != self._obstacle:
            _log.error("No tasks are run: %s", obstacle)
        elif self._obstacle and not obstacle:
            _log.warning("Tasks can be run again")
        self._obstacle = obstacle[:LONGEST]
        self.write()

    def unreached(self, error: Exception) -> None:
        """Tell why the broker can't be reached, where that is no outage; Celery's own line in the log says it, too."""
        self._obstacle = f"{NO_TLS}{text(error)}"[:LONGEST] if reason(error) == "certificate" else ""
        self.write()

    def grown(self, memory: int) -> None:
        """Tell that the worker's processes hold so many bytes of memory, which is too much."""
        self._send(encode(Grown(memory)))

    def died(self, task_id: str, cause: str) -> None:
        """Tell that a process of the pool has ended while it ran this task; it may be the last that is heard of the worker."""
        self._send(encode(Died(task_id, cause)))

    def write(self) -> None:
        """Put the present state on the scoreboard; from any thread, and from a signal's handler.

        Nobody waits for another's write: the threads pool accepts and ends tasks in its threads, and Celery's handler of
        SIGQUIT ends them in the main thread, perhaps above a write that goes on only when the handler has returned.
        Whoever finds another writing leaves it to that one to write once more.
        """
        self._is_stale = True
        while self._is_stale and self._writing.acquire(blocking=False):
            try:
                self._is_stale = False
                self._scoreboard.write(self._pulse())
            finally:
                self._writing.release()

    def _pulse(self) -> Pulse:
        now = time.monotonic()
        requests = active_requests()
        active = [getattr(request, "active", None) or ActiveTask(request.id, request.name, now) for request in requests]
        active.sort(key=_STARTED)
        return Pulse(
            at=now,
            queues=self._queues,
            active=tuple(active[:MOST_ACTIVE]),
            active_count=len(requests),
            succeeded=self._counts[SUCCEEDED],
            failed=self._counts[FAILED],
            retried=self._counts[RETRIED],
            revoked=self._counts[REVOKED],
            set_aside=self._set_aside,
            results_lost=self.lost.read(),
            obstacle=self._obstacle,
            losing=self.losing.read(),
            lag=self._lag,
            still=self._still,
            clock=self.clock(),
        )

    def _beat(self) -> None:
        self.write()
        self._beating = bool(state.active_requests)
        if self._beating:
            self._timer.call_after(BUSY_BEAT, self._beat)

    def _send(self, datagram: bytes) -> None:
        try:
            self._report.send(datagram)
        except (BlockingIOError, ConnectionError):
            # The daemon is stopped or gone. A stopped one reads the scoreboard when it runs again; a gone one takes
            # this process with it.
            pass


def reporting_consumer(base: type, account: Account) -> type:
    """Return a Consumer class that reports before each attempt to reach the broker, when it consumes, and what it refuses.

    Celery subscribes to the queue after all of its bootsteps, then calls `on_ready`.
    """

    class ReportingConsumer(base):
        def ensure_connected(self, connection: Any) -> Any:
            account.connecting()
            stock = connection.ensure_connection

            def ensure_connection(errback: Any = None, *args: Any, **options: Any) -> Any:
                def told(error: Exception, pause: float) -> Any:
                    account.unreached(error)
                    return errback and errback(error, pause)

                return stock(told, *args, **options)

            connection.ensure_connection = ensure_connection
            return super().ensure_connected(connection)

        def on_connection_error_after_connected(self, error: Exception) -> None:
            if isinstance(error, ConsumerCancelled):
                _log.warning(
                    "The broker has ended the consumer, as where its queue was deleted: it is made anew, empty"
                )
            super().on_connection_error_after_connected(error)

        def on_refused(self, why: str) -> None:
            account.held_up(f"{REFUSED}{why}{MORE}")

        def on_unknown_message(self, *args: Any) -> None:
            account.not_run()
            super().on_unknown_message(*args)

        def on_unknown_task(self, *args: Any) -> None:
            account.not_run()
            super().on_unknown_task(*args)

        def on_invalid_task(self, *args: Any) -> None:
            account.not_run()
            super().on_invalid_task(*args)

        def on_decode_error(self, *args: Any) -> None:
            account.not_run()
            super().on_decode_error(*args)

        def on_ready(self) -> None:
            account.held_up("")
            limit = getattr(self.pool, "options", {}).get("timeout")
            account.consuming(consumed(self), self.timer, limit)
            super().on_ready()

    return ReportingConsumer


def consumed(consumer: Any) -> tuple[str, ...]:
    """Return the queues that a worker has a consumer of; one that was cancelled, as over remote control, is none of them."""
    tasks = consumer.task_consumer
    return tuple(queue.name for queue in tasks.queues if tasks.consuming_from(queue.name))


def active_requests() -> list[Request]:
    """Return what runs."""
    return listed(state.active_requests) if state.active_requests else []  # looking through an empty WeakSet takes time


def listed(requests: Iterable[Request]) -> list[Request]:
    """Return a copy of a set that threads change."""
    while True:
        try:
            return list(requests)
        except RuntimeError:  # a thread of the threads pool started or ended a task meanwhile
            continue
