"""The daemon with real processes around it, none of which is Celery: what it does wrong itself stays where it was done."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.adapters.agents import Agent
from tests.waiting import wait_until

# An agent that fails, once, at the news that queue alpha's first worker consumes.
FAILING = """
import sys
from agent.cli.main import main
from agent.decide import supervisor
from agent.guest.messages import Consuming

handle = supervisor.handle
def failing(node, event, now):
    if getattr(event, "queue", "") == "alpha" and getattr(event, "generation", 0) == 1 and event.event == Consuming():
        raise ZeroDivisionError("a fault")
    return handle(node, event, now)
supervisor.handle = failing
sys.exit(main())
"""
# One that fails, once, at telling queue alpha's worker to go.
FAILING_TO_STOP = """
import sys
from agent.cli.main import main
from agent.decide.events import Stop
from agent.run.workers import Workers

carry_out = Workers.carry_out
failed = []
def failing(self, action):
    if isinstance(action, Stop) and action.queue == "alpha" and not failed:
        failed.append(action)
        raise ZeroDivisionError("a fault")
    carry_out(self, action)
Workers.carry_out = failing
sys.exit(main())
"""
# One that fails at every plan but the first.
FAILING_AT_PLANS = """
import sys
from agent.cli.main import main
from agent.run.workers import Workers

use = Workers.use
plans = []
def failing(self, template):
    plans.append(template)
    if len(plans) > 2:  # the first one is warmed, then adopted
        raise ZeroDivisionError("a fault")
    use(self, template)
Workers.use = failing
sys.exit(main())
"""


@pytest.fixture
def agent(tmp_path: Path) -> Iterator[Agent]:
    agent = Agent(tmp_path, "alpha", "beta")
    yield agent
    agent.close()


def test_it_supervises_and_goes_when_it_is_told(agent: Agent) -> None:
    agent.start()
    agent.wait_until_consuming()
    assert agent.process is not None
    agent.process.send_signal(signal.SIGTERM)
    assert agent.process.wait(30) == 0
    assert "agent-fault" not in agent.log.read_text()


def test_a_fault_at_one_queue_has_that_queue_begin_anew_and_touches_no_other(agent: Agent) -> None:
    agent.start(FAILING)
    queues = agent.wait_until_consuming()
    assert (queues["alpha"]["generation"], queues["beta"]["generation"]) == (2, 1)
    assert queues["alpha"]["restarts"] == 1
    (fault,) = [line for line in agent.log.read_text().splitlines() if "agent-fault" in line]
    assert "queue=alpha" in fault
    assert "ZeroDivisionError" in fault


def test_a_fault_at_stopping_one_queue_keeps_neither_the_others_nor_the_agent_from_going(agent: Agent) -> None:
    agent.start(FAILING_TO_STOP)
    agent.wait_until_consuming()
    assert agent.process is not None
    agent.process.send_signal(signal.SIGTERM)
    assert agent.process.wait(30) == 0
    assert "worker-stop queue=beta" in agent.log.read_text()


def test_a_fault_at_a_plan_is_the_answer_to_who_asked_and_what_runs_goes_on(agent: Agent) -> None:
    agent.start(FAILING_AT_PLANS)
    before = agent.wait_until_consuming()
    assert agent.process is not None
    agent.process.send_signal(signal.SIGHUP)
    wait_until(lambda: agent.status()["reload_error"], 30, "the reload is refused")
    assert agent.status()["reload_error"] == "the agent failed at this plan; its log says where"
    after = agent.wait_until_consuming()
    assert {name: queue["pid"] for name, queue in after.items()} == {
        name: queue["pid"] for name, queue in before.items()
    }
