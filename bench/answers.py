"""How long who asks what runs waits for the answer: from the start of the command until it has ended."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from statistics import median

from bench import processes
from bench.contenders import Agent, Inspected
from bench.stage import BenchError, Stage, staged
from bench.workload import program
from tests.rabbitmq import RabbitMQ

QUEUES = 20
ASKED = 20  # times
ASKED_DOWN = 5  # with the broker down, where `celery inspect` takes its time
OWN = "agent status"
PATIENCE = 60.0  # seconds in which the agent has to see that the broker is away
SCRIPT = "import sys; from agent.cli.main import main; sys.exit(main())"  # what pip makes of the command `agent`


@dataclass(frozen=True, slots=True)
class Answered:
    """What asking so many times came to.

    seconds: of each time, until the command had ended. cpu: seconds of CPU that one time took of it and its children.
    well: of how many queues it said that all is well.
    """

    seconds: tuple[float, ...]
    cpu: float
    well: float


def ask(broker: RabbitMQ) -> dict[str, tuple[Answered, Answered]]:
    """Return how each command answers while the broker runs, and while it does not.

    The agent has workers of its own; supervisord has others, which both other commands are asked about.
    """
    with ExitStack() as stack:
        agent, peer = (stack.enter_context(staged(kind, QUEUES, broker)) for kind in (Agent, Inspected))
        for stage in (agent, peer):
            stage.start()
        for stage in (agent, peer):
            stage.settle()
        questions = _questions(agent, peer)
        _await(agent, "idle")
        up = _answers(questions, ASKED)
        broker.stop()
        try:
            _await(agent, "broker_down")
            down = _answers(questions, ASKED_DOWN)
        finally:
            broker.start()
    return {name: (up[name], down[name]) for name in questions}


@dataclass(frozen=True, slots=True)
class _Question:
    stage: Stage
    command: Sequence[str]
    well: Callable[[str], int]  # of how many queues an answer says that all is well

    def ask(self) -> tuple[float, float, str]:
        """Return the seconds until the command has ended, those of CPU, and what it has printed."""
        work = self.stage.contender.work
        cpu, began = processes.reaped(), time.monotonic()
        done = subprocess.run(
            self.command, env=work.environment, cwd=work.folder, capture_output=True, text=True, check=False
        )
        return time.monotonic() - began, processes.reaped() - cpu, done.stdout


def _questions(agent: Stage, peer: Stage) -> dict[str, _Question]:
    asked = (program("celery"), "-A", "work:inspected_bench0", "inspect", "ping")
    told = (program("supervisorctl"), "-c", str(peer.folder / "supervisord.conf"), "status")
    return {
        OWN: _Question(agent, own(agent, "status", "bench"), lambda text: text.count(" idle ")),
        "supervisorctl status": _Question(peer, told, lambda text: text.count(" RUNNING ")),
        "celery inspect ping": _Question(peer, asked, lambda text: text.count("pong")),
    }


def own(agent: Stage, *words: str) -> list[str]:
    """Return a command of the agent, as the shell runs it."""
    variables = [f"CELERY_AGENT_RUNTIME_DIR={agent.folder / 'run'}", f"CELERY_AGENT_CONFIG_DIR={agent.folder}"]
    return ["/usr/bin/env", *variables, sys.executable, "-c", SCRIPT, *words]


def _answers(questions: dict[str, _Question], times: int) -> dict[str, Answered]:
    """Ask all in turns."""
    rounds = [{name: question.ask() for name, question in questions.items()} for _ in range(times)]
    found = {}
    for name, question in questions.items():
        seconds, cpu, texts = zip(*(each[name] for each in rounds), strict=True)
        found[name] = Answered(seconds, median(cpu), median(map(question.well, texts)))
    return found


def _await(agent: Stage, health: str) -> None:
    """Return once the agent says this of all queues; raises BenchError."""
    question = _Question(agent, own(agent, "status", "bench", "--json"), len)
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        _, _, text = question.ask()
        if [queue["health"] for queue in json.loads(text)["queues"]] == [health] * QUEUES:
            return
        time.sleep(1)
    raise BenchError(f"not all queues are {health} after {PATIENCE:g} s\n{text[-3000:]}")
