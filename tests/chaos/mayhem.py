"""Full chaos: a random fault every few seconds, for as long as the producer sends. The seed makes a run repeatable.

Here a signal may hit any process at any time, whether a task runs or not; whatever ends the agent, systemd starts it again.
"""

from __future__ import annotations

import os
import random
import signal
import time
from collections.abc import Callable

from tests import administration
from tests.chaos import faults
from tests.chaos.stage import Stage
from tests.node import children

PAUSES = (1.0, 4.0)  # seconds between two faults: any time from … to
SIGNALS = (signal.SIGKILL, signal.SIGKILL, signal.SIGTERM, signal.SIGQUIT)  # the hardest twice as often


def mayhem(seed: int, stage: Stage) -> float:
    """Strike until the producer has sent its load; return when the last fault was over."""
    dice = random.Random(seed)
    while stage.is_sending():
        (strike,) = dice.choices([each for _, each in MENU], [weight for weight, _ in MENU])
        strike(dice, stage)
        time.sleep(dice.uniform(*PAUSES))
        stage.tend_agent()
    return time.monotonic()


def signal_anyone(dice: random.Random, stage: Stage) -> None:
    """Signal the agent or any process below it."""
    assert stage.node.process is not None
    try:
        os.kill(dice.choice(_family(stage.node.process.pid)), dice.choice(SIGNALS))
    except ProcessLookupError:  # it ended by itself meanwhile
        pass


def _family(pid: int) -> list[int]:
    try:
        return [pid, *(each for child in children(pid) for each in _family(child))]
    except (FileNotFoundError, ProcessLookupError):
        return [pid]


MENU: tuple[tuple[int, Callable[[random.Random, Stage], object]], ...] = (
    (6, signal_anyone),
    (1, lambda _, stage: faults.restart_broker(stage)),
    (1, lambda _, stage: faults.kill_broker(stage)),
    (1, lambda _, stage: faults.freeze_broker(3.0, stage)),
    (1, lambda _, stage: faults.lose_packets(5.0, stage)),
    (1, lambda _, stage: faults.forget_connections(stage)),
    (1, lambda _, stage: faults.memory_alarm(3.0, stage)),
    (1, lambda _, stage: administration.close_all_connections(stage.broker, stage.vhost)),
)
