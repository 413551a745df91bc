"""One run: an agent, a producer, a fault that strikes while they work, and the verdict when all is quiet again."""

from __future__ import annotations

import time
from dataclasses import dataclass
from functools import partial
from math import inf

from tests.chaos.catalogue import Fault
from tests.chaos.stage import Stage
from tests.chaos.verdict import Verdict, judge, recovery, unsettled
from tests.waiting import wait_until

QUIET = 5.0  # seconds without an entry after which the queue is looked into
PATIENCE = 180.0  # seconds without an entry after which a run is over, whatever is left


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a run went.

    recovery: seconds, see `tests.chaos.verdict.recovery`.
    trouble: what kept the run from being played to its end, or None.
    """

    fault: str
    pool: str
    profile: str
    verdict: Verdict
    recovery: float | None
    trouble: str | None


def play(fault: Fault, stage: Stage) -> Outcome:
    """Send the load, strike as often as the fault says, and judge when nothing moves any more."""
    stage.send(fault.load)
    moments: list[float] = []
    trouble = None
    try:
        for number, strike in enumerate(fault.strikes, 1):
            share = fault.load.count * number // (len(fault.strikes) + 1)
            wait_until(partial(_has_accepted, stage, share), PATIENCE, f"{share} tasks are accepted")
            before = len(stage.ledger.entries())
            moments.append(strike(stage))
            wait_until(partial(_is_overcome, stage, before, moments[-1]), PATIENCE, "the strike is overcome")
        _settle(stage)
    except AssertionError as error:  # something that was waited for did not come
        trouble = str(error)
    entries = stage.ledger.entries()
    verdict = judge(entries, stage.dead_letters())
    return Outcome(fault.name, stage.setting.pool, stage.setting.profile, verdict, recovery(entries, moments), trouble)


def _has_accepted(stage: Stage, share: int) -> bool:
    return stage.accepted() >= share or not stage.is_sending()


def _is_overcome(stage: Stage, before: int, moment: float) -> bool:
    """Say whether a task that was sent after the moment has started, or none will be."""
    return recovery(stage.ledger.entries()[before:], [moment]) not in {None, inf} or not stage.is_sending()


def _settle(stage: Stage) -> None:
    """Return once every accepted task has ended, or those that have not are nowhere in the queue."""
    while stage.is_sending() or unsettled(stage.ledger.entries()):
        stage.tend_agent()
        silence = time.monotonic() - stage.ledger.entries()[-1].at
        if silence > QUIET and not stage.is_sending() and stage.waiting() == 0:
            return
        if silence > PATIENCE:
            raise AssertionError(
                f"nothing has moved for {PATIENCE:g} s; {stage.waiting()} messages are in the queue, "
                f"the producer {'hangs' if stage.is_sending() else 'has ended'}"
            )
        time.sleep(0.2)
