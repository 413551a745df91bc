"""The daemon's loop: whom it calls, how late it was, and that a fault of the agent's own ends nothing else."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Iterator
from selectors import EVENT_READ

import pytest

from agent.run.loop import MOST_FAULTS, Loop
from tests.adapters.loop import Facts

FAR = 3600.0


@pytest.fixture
def loop(log: Facts) -> Iterator[Loop]:
    loop = Loop(log)
    yield loop
    loop.selector.close()


def readable() -> int:
    """Return a descriptor that is readable, and stays so."""
    ours, theirs = socket.socketpair()
    theirs.close()
    return ours.detach()


def fail() -> None:
    raise KeyError("a fault")


def test_what_is_ready_is_called(loop: Loop) -> None:
    called: list[str] = []
    loop.selector.register(readable(), EVENT_READ, lambda: called.append("a"))
    loop.wait(None)
    assert called == ["a"]


def test_it_waits_no_longer_than_to_the_deadline(loop: Loop) -> None:
    assert loop.wait(time.monotonic()) >= 0
    assert loop.wait(time.monotonic() - 5) >= 5


def test_what_one_call_closes_is_not_called_in_the_same_turn(loop: Loop) -> None:
    called: list[str] = []
    both = [readable(), readable()]

    def close_other(own: int, other: int) -> None:
        called.append("a")
        for each in (own, other):
            loop.selector.unregister(each)
            os.close(each)

    for own, other in (both, both[::-1]):
        loop.selector.register(own, EVENT_READ, lambda own=own, other=other: close_other(own, other))
    loop.wait(None)
    assert called == ["a"]


def test_a_fault_in_one_call_is_logged_with_its_place_and_ends_no_other(loop: Loop, log: Facts) -> None:
    called: list[str] = []
    loop.selector.register(readable(), EVENT_READ, fail)
    loop.selector.register(readable(), EVENT_READ, lambda: called.append("a"))
    loop.timers.after(0, "b", fail)
    loop.timers.after(0, "c", lambda: called.append("c"))
    for _ in range(2):
        loop.wait(None)
    assert sorted(called) == ["a", "a", "c"]
    faults = log.of("agent-fault")
    assert {fault["what"] for fault in faults} == {"descriptor", "timer"}
    assert all(fault["error"] == "KeyError('a fault')" and "test_loop.py:" in fault["where"] for fault in faults)


def test_a_descriptor_that_only_leads_to_faults_is_logged_ever_more_rarely_and_looked_at_all_the_same(
    loop: Loop, log: Facts, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is wrong may pass, as a want of memory does; until then the loop must not spin."""
    rests: list[float] = []
    monkeypatch.setattr(time, "sleep", rests.append)
    faults = MOST_FAULTS + 20
    called: list[str] = []

    def fail_for_a_while() -> None:
        called.append("a")
        if len(called) <= faults:
            fail()

    loop.selector.register(readable(), EVENT_READ, fail_for_a_while)
    for _ in range(faults + 2):
        loop.wait(time.monotonic())
    assert len(called) == faults + 2
    assert [fault["count"] for fault in log.of("agent-fault")] == [1, 2, 4, 8, 16]
    assert len(rests) == faults - MOST_FAULTS + 1


def test_the_longest_wait_is_one_that_the_kernel_can_count(loop: Loop) -> None:
    loop.selector.register(readable(), EVENT_READ, lambda: None)
    loop.wait(time.monotonic() + 1e12)
