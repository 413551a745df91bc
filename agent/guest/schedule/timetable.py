"""What is to be sent now: the entries, where each stands by the record, and what becomes of a tick.

a tick is due                                    done about it
-----------------------------------------------  -----------------------------------------------------------
for the first time                               sent, with the record in which it is done
the record says that it is done                  nothing: the one who led before has sent it
several are, since nobody led                    as the entry's option `missed` says
no message can be made of it                     given up, and told
the broker has no place for it                   told, and tried again: it is still due
"""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from typing import Any, Protocol

from celery import Celery
from celery.beat import ScheduleEntry, Scheduler
from celery.utils.log import get_logger

from celery_delivery.sending.confirms import Answer

from ..scoreboard import Tick
from .dues import following, newest, owed
from .entries import missed_of
from .record import Record, Seen
from .right import Right
from .sending import Kept, Sender, tick_id

LONGEST = 5.0  # seconds between two looks at the entries, which may be in a database
PAUSE = 5.0  # seconds until a tick is tried again that the broker had no place for
REFUSED = 60.0  # seconds likewise, where the broker closed a channel for it

_log = get_logger(__name__)


class Timetable(Protocol):
    """What a leader goes by."""

    def tick(self) -> float:
        """Send what is due, at least one of it; return in how many seconds to look again."""

    def entries(self) -> Iterable[Tick]:
        """Return the entries with their last and next run, for people."""


class Desk:
    """Sends the ticks of a leader, and keeps the record of them.

    pauses: entries that are not to be sent before a moment of the monotonic clock; it outlives a lease.
    count: is told of each tick that was sent.
    """

    def __init__(
        self, name: str, app: Celery, lease: Right, pauses: dict[str, float], count: Callable[[], None]
    ) -> None:
        self._name = name
        self._lease = lease
        self._sender = Sender(app, lease)
        self._pauses = pauses
        self._count = count
        self._host = socket.gethostname()

    @property
    def record(self) -> Record:
        """The record, of which this one is the only writer; empty where it does not lead any more."""
        return self._lease.record or Record()

    def is_paused(self, entry: ScheduleEntry) -> bool:
        """Say whether an entry waits because its last tick was refused."""
        return self._pauses.get(entry.name, 0.0) > time.monotonic()

    def note(self, name: str, seen: Seen) -> None:
        """Write down where an entry stands."""
        self._lease.write(self.record.after(name, seen, self._host))

    def send(self, scheduler: Scheduler, entry: ScheduleEntry, tick: datetime, seen: Seen) -> bool:
        """Send the tick of an entry, after which it stands there; say whether that is so."""
        task_id = tick_id(self._name, entry.name, tick)
        try:
            messages = self._sender.messages(scheduler, entry, task_id)
        except Exception as error:
            _log.error("Entry %s sends nothing at %s: %s", entry.name, tick.isoformat(), error, exc_info=True)
            self.note(entry.name, Seen(seen.done, self._sent(entry.name)))
            return True
        before = self.record
        try:
            self._sender.declare(messages)
            answers = self._lease.write(
                before.after(entry.name, seen, self._host), lambda: self._sender.write(messages)
            )
        except self._lease.REFUSED as error:
            _log.error("Entry %s is refused by the broker, and tried again in %d s: %s", entry.name, REFUSED, error)
            self._pauses[entry.name] = time.monotonic() + REFUSED
            raise
        bad = [answer for answer in answers if answer is not Answer.TAKEN]
        if bad:
            self._give_back(entry, before, messages, bad[0])
            return False
        self._count()
        _log.info("Entry %s of %s: task %s[%s] sent", entry.name, tick.isoformat(), entry.task, task_id)
        return True

    def _give_back(self, entry: ScheduleEntry, before: Record, messages: Sequence[Kept], answer: Answer) -> None:
        where = ", ".join(str(message.options.get("routing_key")) for message in messages)
        reason = "is full, or has no leader" if answer is Answer.NACKED else "is not there"
        _log.error("Entry %s: the queue of %s %s. It is tried again in %d s", entry.name, where, reason, PAUSE)
        self._pauses[entry.name] = time.monotonic() + PAUSE
        self._sender.forget_queues()
        former = before.entries.get(entry.name)
        if former is not None:
            self.note(entry.name, former)

    def _sent(self, name: str) -> datetime | None:
        seen = self.record.entries.get(name)
        return None if seen is None else seen.sent


class Own:
    """Entries that stand in code, whose times are kept in the record alone."""

    def __init__(
        self, scheduler: Scheduler, desk: Desk, now: Callable[[], datetime] = lambda: datetime.now(UTC)
    ) -> None:
        self._scheduler = scheduler
        self._desk = desk
        self._now = now
        self._next: dict[str, datetime] = {}

    def tick(self) -> float:
        """Send what is due of the entry that has waited longest; return in how many seconds to look again."""
        waiting = [entry for entry in self._scheduler.schedule.values() if not self._desk.is_paused(entry)]
        entry = min(waiting, key=self._due, default=None)
        if entry is None:
            return LONGEST
        left = (self._due(entry) - self._now()).total_seconds()
        if left > 0:
            return min(left, LONGEST)
        self._send(entry)
        return 0.0

    def entries(self) -> Iterable[Tick]:
        """Return the entries with their last and next run, for people."""
        for entry in self._scheduler.schedule.values():
            seen = self._desk.record.entries.get(entry.name)
            sent = None if seen is None or seen.sent is None else seen.sent.timestamp()
            yield Tick(entry.name, sent, self._due(entry).timestamp())

    def _due(self, entry: ScheduleEntry) -> datetime:
        if entry.name not in self._next:
            seen = self._desk.record.entries.get(entry.name)
            if seen is None:  # its first tick comes after its interval, as it does with Celery
                seen = Seen(self._now())
                self._desk.note(entry.name, seen)
            self._next[entry.name] = following(entry.schedule, seen.done)
        return self._next[entry.name]

    def _send(self, entry: ScheduleEntry) -> None:
        now, seen = self._now(), self._desk.record.entries[entry.name]
        ticks = owed(entry.schedule, seen.done, now, missed_of(entry))
        for tick in ticks:
            if not self._desk.send(self._scheduler, entry, tick, Seen(tick, tick)):
                return
        if not ticks:
            done = newest(entry.schedule, seen.done, now, 1)[-1]
            _log.warning("Entry %s skips what it has missed up to %s", entry.name, done.isoformat())
            self._desk.note(entry.name, Seen(done, seen.sent))
        del self._next[entry.name]


class Foreign:
    """Entries that a scheduler of others keeps, as in a database; the record knows what was sent of them."""

    def __init__(self, scheduler: Any, desk: Desk) -> None:
        self._scheduler = scheduler
        self._desk = desk
        self._is_due = scheduler.is_due
        self._known: list[ScheduleEntry] = []
        scheduler.is_due = self._ask
        scheduler.apply_entry = self._apply

    def tick(self) -> float:
        """Have the scheduler send what is due; return in how many seconds to look again."""
        seconds = self._scheduler.tick()
        self._known = list(self._scheduler.schedule.values())
        return min(float(seconds or 0.0), LONGEST)

    def entries(self) -> Iterable[Tick]:
        """Return the entries with their last and next run, for people."""
        for entry in self._known:
            seen = self._desk.record.entries.get(entry.name)
            last = _aware(entry.last_run_at)  # which may be older: until a database is read anew
            if seen is None or seen.sent is None:
                yield Tick(entry.name, None, following(entry.schedule, last).timestamp())
            else:
                upcoming = following(entry.schedule, max(last, seen.done))
                yield Tick(entry.name, seen.sent.timestamp(), upcoming.timestamp())

    def _ask(self, entry: ScheduleEntry) -> Any:
        seen = self._desk.record.entries.get(entry.name)
        # The one who led before may have sent it, and not come to write it down where the entries are.
        if seen is not None and _aware(entry.last_run_at) < seen.done:
            entry.last_run_at = seen.done.astimezone(_aware(entry.last_run_at).tzinfo)
        return self._is_due(entry)

    def _apply(self, entry: ScheduleEntry, **_: object) -> None:
        tick, now = following(entry.schedule, _aware(entry.last_run_at)), datetime.now(UTC)
        self._desk.send(self._scheduler, entry, tick, Seen(now, now))
        self._scheduler.sync()


def _aware(moment: datetime) -> datetime:
    """Return a time with its zone: UTC where it has none, as Celery's `maybe_make_aware` and django-celery-beat have it."""
    return moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)
