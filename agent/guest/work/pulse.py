"""How a worker tells about itself: reports over a socket when it gains or loses its consumer, the rest on the scoreboard.

No polling of the worker: `inspect` would need the broker, and its answers pass through the same loop that may hang.
"""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterable
from typing import Any

from billiard.einfo import ExceptionWithTraceback
from celery import bootsteps
from celery.exceptions import Ignore, Retry
from celery.utils.log import get_logger
from celery.worker import state
from celery.worker.request import Request, Terminated

from ..messages import Connecting, Consuming, encode
from ..scoreboard import IDLE_BEAT, MOST_ACTIVE, ActiveTask, Pulse, Scoreboard
from .slip import Slip

BUSY_BEAT = 1.0  # seconds between the pulses of a worker that has running tasks
LONGEST = 1_000  # characters of an obstacle, which share a page with the tasks
UNREADY = (
    3 * IDLE_BEAT
)  # seconds without a process to run tasks in, or with a task that none begins, after which it is told
NOBODY_READY = "no process of its pool gets ready; see worker_process_init, and START_TIMEOUT"
NOBODY_BEGINS = "its pool has a place for a task, and does not begin it; kill what of its processes is stopped or hangs"

_log = get_logger(__name__)


class Account:
    """What one worker process has to say; the only one that writes to the daemon."""

    def __init__(self, report: socket.socket, scoreboard: Scoreboard) -> None:
        """Take the two ways to the daemon; `report` is made non-blocking: a daemon that hangs must not hang its workers."""
        self.losing = Slip()  # why results can't be stored; those of the pool write here, too
        self._report = report
        self._report.setblocking(False)
        self._scoreboard = scoreboard
        self._writing = threading.Lock()  # never waited for, see write()
        self._is_stale = False
        self._timer: Any = None
        self._queues: tuple[str, ...] = ()
        self._failed = 0
        self._retried = 0
        self._other = 0
        self._beating = False
        self._obstacle = ""

    def connecting(self) -> None:
        """Tell that there is no consumer, and that one is being sought."""
        self._queues = ()
        self.write()
        self._send(encode(Connecting()))

    def consuming(self, queues: tuple[str, ...], timer: Any) -> None:
        """Tell that the broker has accepted the consumer of these queues; `timer` is the consumer's."""
        self._queues = queues
        self._timer = timer
        self.write()
        self._send(encode(Consuming()))

    def started(self) -> None:
        """Note that a task has started; in the solo pool the last word until it ends."""
        self.write()
        if not self._beating:
            self._beating = True
            self._timer.call_after(BUSY_BEAT, self._beat)

    def ended(self, failure: BaseException | None = None) -> None:
        """Note that a task has ended, with the exception it raised, if any."""
        match failure:
            case None:
                pass
            case Retry():
                self._retried += 1
            case Ignore() | Terminated():
                self._other += 1
            case _:
                self._failed += 1
        self.write()

    def held_up(self, obstacle: str) -> None:
        """Tell what keeps the worker from running tasks, empty where nothing does any more; the log says so once."""
        if obstacle and obstacle[:LONGEST] != self._obstacle:
            _log.error("No tasks are run: %s", obstacle)
        elif self._obstacle and not obstacle:
            _log.warning("Tasks can be run again")
        self._obstacle = obstacle[:LONGEST]
        self.write()

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
        requests = _active_requests()
        active = sorted([_active(request, now) for request in requests], key=lambda task: task.started)
        ended = state.all_total_count[0] - len(requests)
        return Pulse(
            at=now,
            queues=self._queues,
            active=tuple(active[:MOST_ACTIVE]),
            active_count=len(requests),
            succeeded=max(0, ended - self._failed - self._retried - self._other),
            failed=self._failed,
            retried=self._retried,
            obstacle=self._obstacle,
            losing=self.losing.read(),
        )

    def _beat(self) -> None:
        # An early-acked task that succeeds ends without a hook; this is where it leaves the scoreboard.
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


class PulseStep(bootsteps.StartStopStep):
    """Bootstep that beats while there is a consumer, so that an idle worker's silence means something."""

    requires = ("celery.worker.consumer.tasks:Tasks",)
    account: Account

    def __init__(self, consumer: Any, **kwargs: Any) -> None:
        super().__init__(consumer, **kwargs)
        self._timer: Any = None
        self._was_ready = 0.0  # by the monotonic clock, as the times of what waits
        self._waiting: dict[str, float] = {}  # tasks that the pool could begin, by their ids: since when

    def start(self, consumer: Any) -> None:
        """Begin to beat."""
        self._was_ready = time.monotonic()
        self._timer = consumer.timer.call_repeatedly(IDLE_BEAT, self._beat, (consumer.pool,))

    def stop(self, _consumer: Any) -> None:
        """Stop beating; the connection is lost, or the worker is going."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    shutdown = stop

    def _beat(self, pool: Any) -> None:
        now = time.monotonic()
        if _is_ready(pool):
            self._was_ready = now
        self._waiting = {task: self._waiting.get(task, now) for task in _not_begun(pool)}
        if now - self._was_ready > UNREADY:
            self.account.held_up(NOBODY_READY)
        elif now - min(self._waiting.values(), default=now) > UNREADY:
            self.account.held_up(NOBODY_BEGINS)
        else:
            self.account.held_up("")


def pulse_step(account: Account) -> type[PulseStep]:
    """Return the bootstep for an account; Celery makes the instance, so the account is bound to a class."""
    return type("PulseStep", (PulseStep,), {"account": account})


def reporting_consumer(base: type, account: Account) -> type:
    """Return a Consumer class that reports before each attempt to reach the broker, and when it consumes.

    Celery subscribes to the queue after all of its bootsteps, then calls `on_ready`.
    """

    class ReportingConsumer(base):
        def ensure_connected(self, connection: Any) -> Any:
            account.connecting()
            return super().ensure_connected(connection)

        def on_refused(self, reason: str) -> None:
            account.held_up(f"the broker refuses what it needs: {reason}; `agent check` says more")

        def on_ready(self) -> None:
            account.held_up("")
            account.consuming(tuple(queue.name for queue in self.task_consumer.queues), self.timer)
            super().on_ready()

    return ReportingConsumer


def accounted_request(base: type[Request], account: Account) -> type[Request]:
    """Return a Request class that tells the account about the start and end of its task.

    `Task.Request` is Celery's public place for it; a class that the user has put there is built upon.
    """

    class AccountedRequest(base):
        accepted: float  # in seconds of the monotonic clock; `time_start` is of the wall clock, which may be set

        def on_accepted(self, pid: int, time_accepted: float) -> None:
            self.accepted = time_accepted
            super().on_accepted(pid, time_accepted)
            account.started()

        def acknowledge(self) -> None:
            super().acknowledge()
            account.ended()

        def on_failure(self, exc_info: Any, *args: Any, **kwargs: Any) -> Any:
            try:
                return super().on_failure(exc_info, *args, **kwargs)
            finally:
                account.ended(_raised(exc_info))

    return AccountedRequest


def _is_ready(pool: Any) -> bool:
    """Say whether a pool has a process that takes tasks; those of other kinds than processes, and the embedded broker's, do."""
    inputs = getattr(getattr(pool, "_pool", None), "_fileno_to_inq", None)
    return inputs is None or bool(inputs)


def _not_begun(pool: Any) -> list[str]:
    """Return the ids of the tasks that a pool has been given, has a place for, and has not begun."""
    active = set(_active_requests())
    if len(active) >= pool.num_processes:
        return []
    reserved = _listed(state.reserved_requests)
    return [each.id for each in reserved if each not in active and getattr(each, "_apply_result", None) is not None]


def _raised(exc_info: Any) -> BaseException:
    """Return what the task itself raised; a pool child sends it wrapped."""
    exception: BaseException = exc_info.exception
    return exception.exc if isinstance(exception, ExceptionWithTraceback) else exception


def _active_requests() -> list[Request]:
    return _listed(state.active_requests)


def _listed(requests: Iterable[Request]) -> list[Request]:
    while True:
        try:
            return list(requests)
        except RuntimeError:  # a thread of the threads pool started or ended a task meanwhile
            continue


def _active(request: Request, now: float) -> ActiveTask:
    return ActiveTask(request.id, request.name, getattr(request, "accepted", now))
