"""The watcher of an instance, in a process that was forked from the template as workers are: it asks the brokers.

It looks every IDLE seconds, every BUSY where something waits, has changed or was asked for, and at once when a connection
ends. The daemon is woken by what has changed, and by what waits; else a page of memory tells that what was said last is still
so.
"""

from __future__ import annotations

import os
import select
import signal
import socket
import time
from dataclasses import replace
from typing import Any

from celery import Celery
from celery.utils.log import get_logger

from celery_delivery.apps import App
from celery_delivery.settings.own_first import put_own_first

from ..messages import Connecting, Seen, encode
from ..passwords import passwords
from ..projects import find
from ..scoreboard import Pulse, Scoreboard
from ..secrets import Redactor
from ..sight import News, Reach, Sight
from ..spec import WatchedApp, WatchSpec, WorkerSpec
from .asking import Place
from .output import Voice, speak_as_worker

IDLE, BUSY = 10.0, 5.0  # seconds between two looks
ASKED = 30.0  # seconds after a question in which it looks as often as where something waits
FIRST_PAUSE = 1.0  # seconds until a broker that is away is tried again; twice as many each time, up to BUSY
SHORTEST = 0.5  # seconds between two looks, however often it is asked
FIRST_NEWS, LAST_NEWS = 60.0, 3600.0  # seconds until the log says again that a broker is away; twice as many each time

_log = get_logger(__name__)


def main(
    spec: WorkerSpec,
    watch: WatchSpec,
    generation: int,
    celery_config: str,
    report: socket.socket,
    board: int,
    voice: Voice,
) -> int:
    """Watch until told to go; return the exit status."""
    redact = Redactor(os.environ.items())
    speak_as_worker(voice, spec.queue, generation, redact)
    for number in (signal.SIGTERM, signal.SIGQUIT, signal.SIGINT):
        signal.signal(number, _go)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    apps = {}
    for each in watch.apps:
        try:
            apps[each] = _app(each, celery_config)
            redact.hide(passwords(apps[each]))
        except Exception as error:  # each worker of the app says the same, with its traceback
            _log.error("The settings of %s can't be read: %r", each.app or celery_config, error)
            return 1
    watcher = Watcher(apps, report, Scoreboard(board), redact)
    try:
        watcher.run()
    finally:
        watcher.close()
    return 0


def _go(*_: object) -> None:
    raise SystemExit(0)


def _app(watched: WatchedApp, celery_config: str) -> Any:
    """Return an app with the settings alone: no task is imported for it."""
    if watched.app:
        found = find(watched.app)
        return found if isinstance(found, Celery) else found.app  # that of a decorated task
    app = App()
    app.config_from_object(celery_config)
    put_own_first(app, os.environ)
    return app


class Watcher:
    """Looks, waits, and tells."""

    def __init__(self, apps: dict[WatchedApp, Any], report: socket.socket, board: Scoreboard, redact: Redactor) -> None:
        """Take what it looks at, and where it tells of it."""
        self._places = [
            Place(app, dict(zip(each.queues, each.dead_letters, strict=True)), self._beat) for each, app in apps.items()
        ]
        self._report = report
        self._report.setblocking(False)
        self._board = board
        self._redact = redact
        self._told: tuple[Sight, ...] = ()
        self._lasting: dict[str, _Lasting] = {}
        self._asked = -ASKED
        self._pause = FIRST_PAUSE

    def run(self) -> None:
        """Look until the daemon is gone."""
        self._beat()
        self._send(encode(Connecting()))
        is_there = True
        while is_there:
            sights = tuple(place.look() for place in self._places)
            self._beat()
            changed = self._tell(sights)
            is_there = self._wait(self._until_next(sights, changed=changed))

    def close(self) -> None:
        """End all connections."""
        for place in self._places:
            place.close()

    def _until_next(self, sights: tuple[Sight, ...], *, changed: bool) -> float:
        if any(all(reach.reason for reach in sight.reaches) for sight in sights):
            pause, self._pause = self._pause, min(2 * self._pause, BUSY)
            return pause
        self._pause = FIRST_PAUSE
        return BUSY if changed or _waits(sights) or time.monotonic() - self._asked < ASKED else IDLE

    def _wait(self, seconds: float) -> bool:
        """Wait for so long, or until a connection ends or somebody asks; say whether the daemon is there still."""
        began = time.monotonic()
        sockets = [each for place in self._places if (each := place.socket()) is not None]
        readable, _, _ = select.select([self._report, *sockets], [], [], seconds)
        if self._report in readable:
            try:
                while True:
                    if not self._report.recv(16):
                        return False
            except BlockingIOError:
                pass
            except ConnectionError:
                return False
            self._asked = time.monotonic()
        time.sleep(max(0.0, SHORTEST - (time.monotonic() - began)) if readable else 0.0)
        return True

    def _tell(self, sights: tuple[Sight, ...]) -> bool:
        """Tell the daemon where there is something to tell; say whether something has changed."""
        changed = sights != self._told
        news = tuple(self._news(sights))
        if (changed or news or _waits(sights)) and self._send(self._masked(Seen(sights, news))):
            self._told = sights
        return changed

    def _news(self, sights: tuple[Sight, ...]) -> list[News]:
        """Return what is new of the brokers, and what lasts so long that the log is to say it again."""
        now, news = time.monotonic(), []
        for reach in {reach.broker: reach for sight in sights for reach in sight.reaches}.values():
            known = self._lasting.get(reach.broker)
            if known is None or known.reason != reach.reason:
                news.append(News(reach, 0.0 if known is None else round(now - known.since, 1)))
                self._lasting[reach.broker] = _Lasting(reach.reason, now, now + FIRST_NEWS, FIRST_NEWS)
            elif reach.reason and now >= known.due:
                news.append(News(reach, round(now - known.since, 1)))
                known.pause = min(2 * known.pause, LAST_NEWS)
                known.due = now + known.pause
        return news

    def _masked(self, seen: Seen) -> bytes:
        return encode(
            Seen(
                tuple(Sight(tuple(map(self._hidden, each.reaches)), each.queues) for each in seen.sights),
                tuple(News(self._hidden(each.reach), each.lasts) for each in seen.news),
            )
        )

    def _hidden(self, reach: Reach) -> Reach:
        return replace(reach, text=self._redact(reach.text))

    def _beat(self) -> None:
        self._board.write(Pulse(time.monotonic()))

    def _send(self, datagram: bytes) -> bool:
        try:
            self._report.send(datagram)
        except (BlockingIOError, ConnectionError):
            return False  # the daemon is stopped, or gone
        return True


class _Lasting:
    """How a broker is to be reached, since when, and when the log is to say so again."""

    def __init__(self, reason: str, since: float, due: float, pause: float) -> None:
        self.reason, self.since, self.due, self.pause = reason, since, due, pause


def _waits(sights: tuple[Sight, ...]) -> bool:
    return any(asked.waiting for sight in sights for asked in sight.queues)
