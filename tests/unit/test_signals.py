"""What a stop signal means depends on the ones before it."""

import pytest

from agent.decide.events import Shutdown
from agent.run.signals import Meaning, harder
from agent.run.systemd import watchdog_interval


@pytest.mark.parametrize(
    ("meaning", "before", "how"),
    [
        (Meaning.STOP, None, Shutdown.WARM),
        (Meaning.STOP, Shutdown.WARM, Shutdown.COLD),
        (Meaning.STOP, Shutdown.COLD, Shutdown.KILL),
        (Meaning.STOP, Shutdown.KILL, Shutdown.KILL),
        (Meaning.STOP_COLD, None, Shutdown.COLD),
        (Meaning.STOP_COLD, Shutdown.WARM, Shutdown.COLD),
        (Meaning.STOP_COLD, Shutdown.COLD, Shutdown.KILL),
    ],
)
def test_each_stop_signal_is_harder_than_the_last(meaning: Meaning, before: Shutdown | None, how: Shutdown) -> None:
    assert harder(meaning, before) is how


@pytest.mark.parametrize(
    ("environment", "interval"),
    [
        ({}, None),
        ({"WATCHDOG_USEC": "30000000"}, 15.0),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "42"}, 15.0),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "43"}, None),
        ({"WATCHDOG_USEC": "soon"}, None),
    ],
)
def test_the_watchdog_is_fed_twice_as_often_as_it_wants(environment: dict[str, str], interval: float | None) -> None:
    assert watchdog_interval(environment, pid=42) == interval
