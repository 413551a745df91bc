"""Ticks: when an entry is due, and what is made up for."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from celery import Celery
from celery.schedules import crontab, schedule
from hypothesis import given
from hypothesis import strategies as st

from agent.guest.schedule.dues import LATE, MOST_MISSED, Missed, following, owed

pytestmark = pytest.mark.celery

NOON = datetime(2026, 11, 26, 12, tzinfo=UTC)
SECOND, MINUTE, HOUR, DAY = (
    timedelta(seconds=1),
    timedelta(minutes=1),
    timedelta(hours=1),
    timedelta(days=1),
)


def of(kind: Any, zone: str = "UTC", **values: Any) -> Any:
    """Return a schedule of an app in a time zone."""
    app = Celery(set_as_current=False)
    app.conf.timezone = zone
    return kind(**values, app=app)


def ticks(each: Any, last: datetime, count: int) -> list[datetime]:
    found = []
    for _ in range(count):
        last = following(each, last)
        found.append(last)
    return found


def test_an_interval_counts_from_its_last_tick_and_not_from_now() -> None:
    assert ticks(of(schedule, run_every=7 * SECOND), NOON, 2) == [NOON + 7 * SECOND, NOON + 14 * SECOND]


def test_a_crontab_is_due_at_its_times_in_the_app_s_time_zone() -> None:
    daily = of(crontab, "Europe/Berlin", hour=6, minute=30)
    berlin = [each.astimezone(ZoneInfo("Europe/Berlin")) for each in ticks(daily, NOON, 2)]
    assert [(each.day, each.hour, each.minute) for each in berlin] == [(27, 6, 30), (28, 6, 30)]


def test_a_crontab_that_ticks_several_times_an_hour_leaves_none_out() -> None:
    found = ticks(of(crontab, minute="*/20"), NOON - SECOND, 5)
    assert found == [NOON + number * 20 * MINUTE for number in range(5)]


@pytest.mark.parametrize("change", [datetime(2026, 3, 29, tzinfo=UTC), datetime(2026, 10, 25, tzinfo=UTC)])
@pytest.mark.parametrize("minute", [0, 30])
@pytest.mark.parametrize("hour", [1, 2, 3])
def test_a_daily_entry_comes_once_a_day_when_clocks_change(change: datetime, hour: int, minute: int) -> None:
    daily = of(crontab, "Europe/Berlin", hour=hour, minute=minute)
    found = ticks(daily, change - 2 * DAY, 5)
    days = [each.astimezone(ZoneInfo("Europe/Berlin")).date() for each in found]
    assert len(set(days)) == 5
    assert (days[-1] - days[0]).days == 4


def test_an_entry_of_each_hour_leaves_out_the_hour_that_comes_twice_and_an_interval_does_not() -> None:
    begin = datetime(2026, 10, 24, 23, tzinfo=UTC)  # 01:00 in Berlin; at 03:00 it is 02:00 again
    assert ticks(of(crontab, "Europe/Berlin", minute=0), begin, 3) == [begin + number * HOUR for number in (1, 3, 4)]
    assert ticks(of(schedule, "Europe/Berlin", run_every=HOUR), begin, 2) == [begin + HOUR, begin + 2 * HOUR]


def test_nothing_is_owed_before_the_next_tick() -> None:
    for missed in Missed:
        assert list(owed(of(schedule, run_every=MINUTE), NOON, NOON + 59 * SECOND, missed)) == []


def test_of_missed_ticks_the_newest_is_sent_or_all_or_none() -> None:
    every, now = of(schedule, run_every=MINUTE), NOON + 3 * MINUTE + 20 * SECOND
    assert owed(every, NOON, now, Missed.ONCE) == [NOON + 3 * MINUTE]
    assert owed(every, NOON, now, Missed.ALL) == [NOON + MINUTE, NOON + 2 * MINUTE, NOON + 3 * MINUTE]
    assert owed(every, NOON, now, Missed.SKIP) == []
    assert owed(every, NOON, NOON + 3 * MINUTE + LATE, Missed.SKIP) == [NOON + 3 * MINUTE]


@pytest.mark.parametrize("each", [of(schedule, run_every=SECOND), of(crontab)], ids=["each second", "each minute"])
def test_a_long_time_without_a_leader_is_not_counted_through(each: Any) -> None:
    found = owed(each, NOON - 3650 * DAY, NOON, Missed.ALL)
    assert len(found) == MOST_MISSED
    assert found[-1] == NOON
    assert owed(each, NOON - 3650 * DAY, NOON, Missed.ONCE) == [NOON]


@given(
    st.sampled_from(["*", "*/7", "0", "13,59"]),
    st.sampled_from(["*", "*/5", "0", "3,22"]),
    st.integers(0, 400 * 86_400),
    st.sampled_from(["UTC", "Europe/Berlin", "America/New_York", "Asia/Kathmandu"]),
)
def test_ticks_go_on_and_the_same_ones_come_from_wherever_one_looks(
    minute: str, hour: str, offset: int, zone: str
) -> None:
    each = of(crontab, zone, minute=minute, hour=hour)
    begin = NOON + timedelta(seconds=offset)
    found = ticks(each, begin, 4)
    assert begin < found[0] < found[1] < found[2] < found[3]
    assert following(each, found[1] + (found[2] - found[1]) / 2) == found[2]
