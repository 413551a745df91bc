"""How many tasks of a queue have ended, and how: a sum over its processes, which outlasts each of them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import fields
from operator import add, attrgetter

from agent.guest.scoreboard import Pulse
from agent.guest.values import dataclass


@dataclass(frozen=True, slots=True)
class Counts:
    """Tasks that have ended, as `agent.guest.scoreboard.Pulse` has them."""

    succeeded: int = 0
    failed: int = 0
    retried: int = 0
    revoked: int = 0
    set_aside: int = 0
    results_lost: int = 0

    def with_those_of(self, pulses: Iterable[Pulse | None]) -> Counts:
        """Return the sum of these, and of what processes have counted."""
        counts = _counts_of(self)
        for pulse in pulses:
            if pulse is not None:
                counts = tuple(map(add, counts, _counts_of(pulse)))
        return Counts(*counts)


NOTHING = Counts()
NAMES = tuple(each.name for each in fields(Counts))
_counts_of = attrgetter(*NAMES)
