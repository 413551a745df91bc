"""One run: an agent, a producer, a fault that strikes while they work, and the verdict when all is quiet again."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from math import inf

from tests.chaos.catalogue import Fault
from tests.chaos.stage import Stage
from tests.chaos.verdict import Verdict, judge, recovery, unsettled

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
        for share, strike in zip(fault.shares, fault.strikes, strict=True):
            _wait(stage, partial(_has_accepted, stage, round(share * fault.load.count)))
            before = len(stage.ledger.entries())
            moments.append(strike(stage))
            _wait(stage, partial(_is_overcome, stage, before, moments[-1]))
        settle(stage)
    except AssertionError as error:  # something that was waited for did not come
        trouble = str(error)
    entries = stage.ledger.entries()
    verdict = judge(entries, stage.dead_letters())
    return Outcome(fault.name, stage.setting.pool, stage.setting.profile, verdict, recovery(entries, moments), trouble)


def settle(stage: Stage) -> None:
    """Return when nothing moves any more; raises AssertionError where something is left."""
    _wait(stage, partial(_is_settled, stage))


def _has_accepted(stage: Stage, share: int) -> bool:
    return stage.accepted() >= share or not stage.is_sending()


def _is_overcome(stage: Stage, before: int, moment: float) -> bool:
    """Say whether a task that was sent after the moment has started, or none will be."""
    return recovery(stage.ledger.entries()[before:], [moment]) not in {None, inf} or not stage.is_sending()


def _is_settled(stage: Stage) -> bool:
    """Say whether every accepted task has ended, or is nowhere in the queue any more."""
    if stage.is_sending():
        return False
    return not unsettled(stage.ledger.entries()) or (_silence(stage) > QUIET and stage.waiting() == 0)


def _wait(stage: Stage, is_true: Callable[[], bool]) -> None:
    """Return when something is true; raise AssertionError where nothing moves any more. Meanwhile, tend the agent."""
    while not is_true():
        stage.tend_agent()
        if _silence(stage) > PATIENCE:
            raise AssertionError(
                f"nothing has moved for {PATIENCE:g} s; {stage.waiting()} messages are in the queue, "
                f"the producer {'hangs' if stage.is_sending() else 'has ended'}"
            )
        time.sleep(0.05)


def _silence(stage: Stage) -> float:
    """Return the seconds since the last entry in the ledger."""
    entries = stage.ledger.entries()
    return time.monotonic() - entries[-1].at if entries else 0.0
