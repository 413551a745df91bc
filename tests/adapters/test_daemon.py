"""The daemon with real processes around it, none of which is Celery: what it does wrong itself stays where it was done."""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from agent.errors import FAILURE
from agent.run.signals import MEANINGS, Meaning
from tests.adapters.agents import ROOT, Agent
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
# One that is asked to reload at the very moment when it can be asked.
ASKED_AT_ONCE = """
import os, signal, sys
from agent.cli.main import main
from agent.run import daemon

class Place(daemon.Place):
    def __init__(self, *arguments):
        super().__init__(*arguments)
        os.kill(os.getpid(), signal.SIGHUP)
daemon.Place = Place
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


def test_a_runtime_folder_that_is_removed_comes_back_and_lets_no_second_agent_in(agent: Agent) -> None:
    agent.start()
    before = agent.wait_until_consuming()
    shutil.rmtree(agent.folder / "run", ignore_errors=True)  # the agent may be back before it is done
    wait_until(lambda: "place-taken-again" in agent.log.read_text(), 30)
    second = subprocess.run(
        [sys.executable, "-m", "agent", "run", "magic"],
        cwd=ROOT,
        env=agent.environment(),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (second.returncode, "magic is running already" in second.stderr) == (FAILURE, True)
    assert agent.queues()["alpha"]["pid"] == before["alpha"]["pid"]


def test_signals_that_mean_nothing_to_it_end_nothing(agent: Agent) -> None:
    agent.start()
    before = agent.wait_until_consuming()
    assert agent.process is not None
    agent.process.send_signal(signal.SIGSTOP)  # all come at once then, each within the handler of another
    for number, meaning in MEANINGS.items():
        if meaning is Meaning.NOTHING:
            agent.process.send_signal(number)
    agent.process.send_signal(signal.SIGCONT)
    assert agent.wait_until_consuming()["alpha"]["pid"] == before["alpha"]["pid"]
    assert agent.is_running()


def test_a_file_in_the_working_folder_is_not_taken_for_a_module_of_its_own(agent: Agent, tmp_path: Path) -> None:
    """Tasks may write there."""
    for name in ("tempfile", "psutil", "agent"):
        (tmp_path / f"{name}.py").write_text("raise SystemExit('taken')\n")
    start = "import os, sys; sys.path[0] = os.getcwd(); from agent.cli.main import main"  # as an installed program is
    program = f"{start}; os.chdir({str(tmp_path)!r}); sys.exit(main())"
    agent.start(program)
    agent.wait_until_consuming()
    assert agent.status()["memory"] is not None
    assert "taken" not in agent.log.read_text()


def test_who_asks_it_to_reload_as_soon_as_its_socket_is_there_does_not_end_it(agent: Agent) -> None:
    agent.start(ASKED_AT_ONCE)
    assert agent.process is not None
    wait_until(agent.socket.exists, 30)
    wait_until(lambda: "ready" in agent.log.read_text() or not agent.is_running(), 60, "it is ready")
    assert agent.is_running()


def test_somebody_who_asks_to_reload_again_and_again_keeps_nobody_waiting(agent: Agent) -> None:
    agent.start()
    assert agent.process is not None
    process = agent.process
    wait_until(agent.socket.exists, 30)

    def consumed() -> bool:
        process.send_signal(signal.SIGHUP)
        return all(queue["consuming"] for queue in agent.queues().values()) and bool(agent.queues())

    wait_until(consumed, 60, "the first plan is adopted in the middle of it")
