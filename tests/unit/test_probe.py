"""What a probe says."""

from dataclasses import replace

from agent.cli.probe import answer
from tests.unit.test_render import QUEUE, STATUS

WHY = "the broker refuses user or password: 403"
REFUSED = replace(QUEUE, consuming=False, health="broker_down", cause=WHY)
SUMMARY = "consuming from 0 of 50 queues; the broker refuses user or password (50 queues)"


def test_what_many_queues_have_in_common_is_said_once() -> None:
    queues = tuple(replace(REFUSED, queue=f"q{number}") for number in range(50))
    status = replace(STATUS, summary=SUMMARY, queues=queues)
    assert answer("ready", status) == SUMMARY
    assert answer("healthy", status) == ""
    assert answer("ready", replace(status, queues=queues[:1])) == f"q0: {WHY}"
