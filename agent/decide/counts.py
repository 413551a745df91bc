"""How many tasks of a queue have ended, and how: a sum over its processes, which outlasts each of them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import fields
from operator import attrgetter

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
        told = [_counts_of(pulse) for pulse in pulses if pulse is not None]
        return Counts(*map(sum, zip(_counts_of(self), *told, strict=True))) if told else self


NOTHING = Counts()
NAMES = tuple(each.name for each in fields(Counts))
_counts_of = attrgetter(*NAMES)
