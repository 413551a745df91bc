"""Plays one condition, and says what came of it."""

from __future__ import annotations

import re
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from tests.health.conditions import Condition
from tests.health.stage import PATIENCE, QUEUE, Stage
from tests.rabbitmq import RabbitMQ
from tests.waiting import wait_until


@dataclass(frozen=True)
class Outcome:
    """What came of a condition: seconds until it had its name, and from the end of its cause until a task was run again.

    word: the name; empty where it healed before it had one, and `named` is None then. lost: tasks that were not run in the end.
    """

    word: str
    named: float | None
    back: float
    restarts: int
    lost: int
    log: str


def play(condition: Condition, broker: RabbitMQ) -> Outcome:
    """Provoke a condition on an instance of its own; raises AssertionError where what must come does not come at all."""
    with tempfile.TemporaryDirectory(prefix="celery-agent-health-") as folder:
        stage = Stage(Path(folder), broker, condition.pool, condition.settings, condition.way)
        try:
            return _play(condition, stage)
        finally:
            stage.be_impatient(1_800_000, 60_000)
            stage.close()


def _play(condition: Condition, stage: Stage) -> Outcome:
    condition.before(stage)
    began = time.monotonic()
    stage.node.start()
    if not condition.begins_refused:
        stage.node.wait_until_consuming()
        stage.answers()
        stage.send("sleep", condition.work)
        began = time.monotonic()
    condition.provoke(stage)
    word, named = "", None
    if condition.words:
        word = wait_until(lambda: _word(condition, stage), PATIENCE, f"it is {condition.words}: {stage.node.log}")
        named = time.monotonic() - began
    condition.end(stage)
    ended = time.monotonic()
    back = stage.answers() - ended
    wait_until(lambda: not stage.lost(), PATIENCE, "all tasks are done")
    wait_until(lambda: stage.node.queue(QUEUE)["health"] in ("ok", "idle", "busy"), PATIENCE, "it is well again")
    return Outcome(word, named, back, stage.restarts(), len(stage.lost()), stage.log())


def _word(condition: Condition, stage: Stage) -> str:
    """Return the health that the log says the queue has come to, with the cause that it must have; empty where it has not."""
    for line in stage.log().splitlines():
        found = re.search(rf" health queue={QUEUE} health=(\w+)", line)
        if found is not None and found[1] in condition.words and condition.cause in line:
            return found[1]
    return ""
