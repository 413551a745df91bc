"""When the daemon looks at its queues, and what it tells between two looks."""

from __future__ import annotations

from agent.decide.events import Looked
from agent.decide.node import Node
from agent.guest.scoreboard import Pulse
from agent.run.looks import Looks
from agent.run.timers import Timers
from tests.adapters.loop import Facts


class Workers:
    """One worker, which has something new to say each time."""

    def __init__(self) -> None:
        self.said = 0.0

    def pulses(self) -> dict[int, Pulse]:
        self.said += 1
        return {1: Pulse(self.said)}


def test_between_two_looks_workers_are_heard_and_nothing_is_judged(timers: Timers, log: Facts) -> None:
    judged: list[Looked] = []
    looks = Looks(timers, log, Workers(), Node, judged.append)  # type: ignore[arg-type]
    (first, known), (second, still_known) = looks.lately(), looks.lately()
    assert (first, second) == ({1: Pulse(1.0)}, {1: Pulse(2.0)})
    assert len(judged) == 1  # at the first: nothing was known before
    assert still_known is known
    third, anew = looks.look()
    assert third == {1: Pulse(3.0)}
    assert len(judged) == 2
    assert looks.lately()[1] is anew
