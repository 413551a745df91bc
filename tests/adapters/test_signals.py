"""Signals that come while nobody reads, as when all of a node's workers end at once."""

import os
import signal
from collections.abc import Iterator

import pytest

from agent.run.signals import MEANINGS, Meaning, Wakeup

MANY = 2_000  # the pipe holds some hundred


@pytest.fixture
def wakeup() -> Iterator[Wakeup]:
    before = {number: signal.getsignal(number) for number in MEANINGS}
    wakeup = Wakeup()
    yield wakeup
    signal.set_wakeup_fd(-1)
    for number, action in before.items():
        signal.signal(number, action)
    os.close(wakeup._receiver.detach())
    os.close(wakeup._sender.detach())


def come(*numbers: signal.Signals) -> None:
    for number in numbers:
        os.kill(os.getpid(), number)


def test_a_stop_is_heard_after_any_number_of_exits(wakeup: Wakeup) -> None:
    come(*[signal.SIGCHLD] * MANY, signal.SIGTERM)
    assert set(wakeup.read()) == {Meaning.REAP, Meaning.STOP}


def test_each_kind_comes_once_in_the_order_in_which_they_came(wakeup: Wakeup) -> None:
    come(signal.SIGTERM, signal.SIGCHLD, signal.SIGHUP, signal.SIGCHLD)
    assert wakeup.read() == [Meaning.STOP, Meaning.REAP, Meaning.RELOAD]


def test_what_was_read_is_not_read_again(wakeup: Wakeup) -> None:
    come(signal.SIGTERM)
    wakeup.read()
    assert wakeup.read() == []


def test_two_stops_that_are_read_one_by_one_are_two(wakeup: Wakeup) -> None:
    come(signal.SIGTERM)
    first = wakeup.read()
    come(signal.SIGTERM)
    assert (first, wakeup.read()) == ([Meaning.STOP], [Meaning.STOP])
