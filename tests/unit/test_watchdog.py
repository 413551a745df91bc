"""How often systemd is told that the agent lives."""

import pytest

from agent.run.systemd import watchdog_interval


@pytest.mark.parametrize(
    ("environment", "interval"),
    [
        ({}, None),
        ({"WATCHDOG_USEC": "30000000"}, 15.0),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "42"}, 15.0),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "43"}, None),
        ({"WATCHDOG_USEC": "soon"}, None),
        ({"WATCHDOG_USEC": "\N{SUPERSCRIPT TWO}"}, None),
    ],
)
def test_the_watchdog_is_fed_twice_as_often_as_it_wants(environment: dict[str, str], interval: float | None) -> None:
    assert watchdog_interval(environment, pid=42) == interval
