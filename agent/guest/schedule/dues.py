"""When an entry is due, as Celery's own schedule objects have it, and what of it has been missed.

A tick is a time at which an entry is due. Each tick follows from the one before and never from the moment in which somebody
looks: whoever leads comes to the same ticks. Times are aware, in UTC.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from itertools import takewhile
from typing import Any

from celery.schedules import crontab
from celery.schedules import schedule as Interval  # noqa: N812 - a class with the name of a module

LATE = timedelta(seconds=15)  # above what a take-over lasts
MOST_MISSED = 100  # ticks of an entry that are made up for, the newest of them
_FIRST_LOOK = timedelta(minutes=1)
_SHORTEST = timedelta(seconds=1)


class Missed(StrEnum):
    """What is done about ticks that nobody has sent in time: an entry's option `missed`."""

    ONCE = "once"  # the newest of them is sent
    SKIP = "skip"  # likewise, unless it is older than LATE
    ALL = "all"  # all of them are sent, MOST_MISSED at most


def following(schedule: Any, last: datetime) -> datetime:
    """Return the tick of a schedule after the one at `last`."""
    if _is_plain(schedule):
        return last + schedule.run_every  # type: ignore[no-any-return]
    # What Celery calls the remaining time counts from now: it is asked at the moment of the last tick. Celery before 5.7 looks
    # at that moment in the zone that it is given in, and 5.7 in the schedule's own.
    last = last.astimezone(UTC)
    local = last.astimezone(getattr(schedule, "tz", UTC))
    due: datetime
    before, schedule.nowfun = schedule.nowfun, lambda: local
    try:
        if isinstance(schedule, crontab):
            start, until, _ = schedule.remaining_delta(local)
            due = (start + until).astimezone(UTC)  # by the clock on the wall
        else:
            due = last + schedule.remaining_estimate(local)
    finally:
        schedule.nowfun = before
    return max(due, last + _SHORTEST)


def owed(schedule: Any, last: datetime, now: datetime, missed: Missed) -> Sequence[datetime]:
    """Return the ticks after `last` that are to be sent now, oldest first; none where nothing is due."""
    ticks = newest(schedule, last, now, MOST_MISSED if missed is Missed.ALL else 1)
    if missed is Missed.SKIP:
        return [tick for tick in ticks if now - tick <= LATE]
    return ticks


def newest(schedule: Any, last: datetime, now: datetime, most: int) -> Sequence[datetime]:
    """Return so many of the newest ticks from `last` to `now`, without counting all of a long time."""
    if _is_plain(schedule):
        every = schedule.run_every
        count = (now - last) // every
        return [last + every * number for number in range(max(1, count - most + 1), count + 1)]
    span = _FIRST_LOOK
    while True:
        begin = max(last, now - span)
        ticks = list(takewhile(lambda tick: tick <= now, _ticks(schedule, begin)))
        if len(ticks) >= most or begin == last:
            return ticks[-most:]
        span *= 4


def _ticks(schedule: Any, last: datetime) -> Iterator[datetime]:
    while True:
        last = following(schedule, last)
        yield last


def _is_plain(schedule: Any) -> bool:
    """Say whether a schedule is an interval: its ticks are on a grid that its first one lays."""
    return type(schedule) is Interval and not schedule.relative and schedule.run_every > timedelta(0)
