"""The scheduler of an instance, in a process that was forked from the template as workers are.

It stands for the right to send for as long as it runs; who has it sends the ticks of the whole fleet.
"""

from __future__ import annotations

import os
import signal
import socket
import time
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from typing import Any

from celery.beat import Scheduler
from celery.utils.log import get_logger

from celery_delivery.apps import create_app_from
from celery_delivery.settings.profile import clients_declare, is_safe

from ..messages import Connecting, Consuming, encode
from ..passwords import passwords
from ..projects import load, serving, task_class
from ..schedule.entries import scheduler_of
from ..schedule.record import Record
from ..schedule.right import Right, kind_of
from ..schedule.timetable import Desk, Foreign, Own, Timetable
from ..scoreboard import MOST_TICKS, Pulse, Scoreboard, Tick
from ..secrets import Redactor
from ..spec import ScheduleSpec, WorkerSpec
from .output import Voice, speak_as_worker
from .plugins import forget_elsewhere
from .replacements import Replacements
from .seldom import Seldom

FIRST_PAUSE, LONGEST_PAUSE = 0.2, 3.0  # seconds between two attempts to reach the broker; well below a take-over
SLICE = 0.5  # seconds for which a signal may have to wait
BEAT = 1.0  # seconds between two pulses
LOST = "Ticks are sent by another process, or nobody: %s"
LONGEST_NAME = 200  # characters of an entry's name, which shares a page with others

_log = get_logger(__name__)


def main(
    spec: WorkerSpec,
    schedule: ScheduleSpec,
    generation: int,
    celery_config: str,
    report: socket.socket,
    board: int,
    voice: Voice,
    replacements: Replacements,
) -> int:
    """Send ticks until told to go; return the exit status."""
    redact = Redactor(os.environ.items())
    speak_as_worker(voice, spec.queue, generation, redact)
    app = _app(schedule, celery_config)
    replacements.put_in_place()
    forget_elsewhere()
    redact.hide(passwords(app))
    app.log.setup(spec.log_level, redirect_stdouts=not voice.journal)
    _log.addFilter(Seldom(LOST))
    scheduler_of(schedule.entries, app)  # what is wrong with it ends this process before it stands for anything
    beat = _Beat(spec, schedule, app, _Account(report, Scoreboard(board), spec.queue))
    for number in (signal.SIGTERM, signal.SIGQUIT, signal.SIGINT):
        signal.signal(number, beat.stop)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    beat.run()
    return 0


def _app(schedule: ScheduleSpec, celery_config: str) -> Any:
    if schedule.sender:
        app = create_app_from([task_class(schedule.sender)], celery_config)
        app.set_default()
        app.set_current()
        app.finalize()
        return app
    app = serving(schedule.app)
    load(app)
    return app


class _Account:
    """What this process has to say to the daemon."""

    def __init__(self, report: socket.socket, scoreboard: Scoreboard, queue: str) -> None:
        self._report = report
        self._report.setblocking(False)
        self._scoreboard = scoreboard
        self._queue = queue
        self._pulse = Pulse(time.monotonic())

    def connecting(self) -> None:
        self._beat(Pulse(0.0))
        self._send(encode(Connecting()))

    def consuming(self) -> None:
        self.write((), leads=False)
        self._send(encode(Consuming()))

    def write(self, ticks: Iterable[Tick], *, leads: bool) -> None:
        listed = [tick._replace(entry=tick.entry[:LONGEST_NAME]) for tick in ticks]
        shown = tuple(sorted(listed, key=lambda tick: tick.next)[:MOST_TICKS])
        self._beat(Pulse(0.0, queues=(self._queue,), leads=leads, ticks=shown, tick_count=len(listed)))

    def count(self) -> None:
        """Count a tick that was sent: at once, since the daemon reads the last words of a process that is killed."""
        self._beat(self._pulse, sent=1)

    def _beat(self, pulse: Pulse, sent: int = 0) -> None:
        self._pulse = pulse._replace(at=time.monotonic(), succeeded=self._pulse.succeeded + sent)
        self._scoreboard.write(self._pulse)

    def _send(self, datagram: bytes) -> None:
        try:
            self._report.send(datagram)
        except (BlockingIOError, ConnectionError):
            pass  # as a worker's: the daemon is stopped, or gone


class _Beat:
    """Stands, leads, and stands again when the broker was away."""

    def __init__(self, spec: WorkerSpec, schedule: ScheduleSpec, app: Any, account: _Account) -> None:
        self._name = spec.queue
        self._entries = schedule.entries
        self._app = app
        self._account = account
        self._pauses: dict[str, float] = {}
        self._is_stopping = False
        self._kind = kind_of(app.connection_for_write())
        self._connection = app.connection_for_write(**self._kind.OPTIONS)
        self._declares = not is_safe(app.conf) or clients_declare(app.conf)

    def stop(self, *_: object) -> None:
        """Go, as soon as what is being sent is confirmed."""
        self._is_stopping = True

    def run(self) -> None:
        """Stand for the right to send until told to go."""
        pause = FIRST_PAUSE
        while not self._is_stopping:
            self._account.connecting()
            began = time.monotonic()
            try:
                self._stand()
            except self._kind.LOST as error:
                _log.warning(LOST, error or repr(error))
                self._connection.collect()
                self._connection.maybe_switch_next()
            pause = FIRST_PAUSE if time.monotonic() - began > LONGEST_PAUSE else min(2 * pause, LONGEST_PAUSE)
            self._wait(pause, time.sleep)
        self._connection.close()

    def _stand(self) -> None:
        self._connection.ensure_connection(max_retries=0, reraise_as_library_errors=False)
        lease = self._kind(self._connection, self._name)
        lease.stand(declares=self._declares)
        self._account.consuming()
        timetable: Timetable | None = None
        spoke = 0.0
        while not self._is_stopping:
            left = LONGEST_PAUSE
            if lease.record is not None:
                timetable = timetable or self._lead(lease, lease.record)
                left = timetable.tick()
            if left and time.monotonic() - spoke > BEAT:
                self._account.write(timetable.entries() if timetable else (), leads=timetable is not None)
                spoke = time.monotonic()
            self._wait(left, lease.wait)
        lease.resign()

    def _lead(self, lease: Right, record: Record) -> Timetable:
        _log.info("It is this process that sends the ticks now; the record is of %s", record.by or "nobody yet")
        scheduler = scheduler_of(self._entries, self._app)
        desk = Desk(self._name, self._app, lease, self._pauses, self._account.count)
        if isinstance(scheduler, Scheduler):
            known = frozenset(scheduler.schedule)
            lease.write(record.without_the_forgotten(known, datetime.now(UTC)))
            return Own(scheduler, desk)
        return Foreign(scheduler(app=self._app, lazy=False, sync_every_tasks=1), desk)

    def _wait(self, seconds: float, wait: Callable[[float], object]) -> None:
        """Wait in slices: a signal ends it. One slice at least, in which the broker is listened to."""
        deadline = time.monotonic() + seconds
        while True:
            wait(max(0.0, min(SLICE, deadline - time.monotonic())))
            if self._is_stopping or time.monotonic() >= deadline:
                return
