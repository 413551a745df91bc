"""When the daemon looks at its queues, and what it tells between two looks."""

from __future__ import annotations

import time

import pytest

from agent.decide.events import Looked
from agent.decide.health import LONGEST_PAUSE
from agent.decide.node import Node
from agent.decide.watch import Watch
from agent.decide.watching import SILENT
from agent.decide.words import State
from agent.decide.worker_state import Worker
from agent.guest.scoreboard import Pulse
from agent.guest.sight import Sight
from agent.run.looks import Looks
from agent.run.timers import Timers
from tests.adapters.loop import Facts
from tests.unit.specs import SPEC, plan


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


def test_the_next_look_comes_also_where_the_agent_fails_at_one(timers: Timers, log: Facts) -> None:
    def fail(_: Looked) -> None:
        raise ZeroDivisionError("a fault")

    looks = Looks(timers, log, Workers(), Node, fail)  # type: ignore[arg-type]
    with pytest.raises(ZeroDivisionError):
        looks.look()
    assert "look" in timers


def test_the_next_look_comes_before_what_the_watcher_said_is_too_old(timers: Timers, log: Facts) -> None:
    now = time.monotonic()
    seen = Watch(Worker(SPEC, state=State.CONSUMING, pid=1), plan(), sights=(Sight((), ()),), seen=now - SILENT + 3.0)
    looks = Looks(timers, log, Workers(), lambda: Node(watch=seen), lambda _: None)  # type: ignore[arg-type]
    looks.look()
    due = timers.next()
    assert due is not None
    assert now + 3.0 < due < now + LONGEST_PAUSE
