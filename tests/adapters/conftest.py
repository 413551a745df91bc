"""Fixtures of the adapters' tests: real processes, pipes and sockets, and no broker."""

import ctypes
import os
import selectors
import signal
from collections.abc import Iterator

import psutil
import pytest

from agent.guest.kernel import become_subreaper
from agent.run.children import Children
from agent.run.timers import Timers
from tests.adapters.loop import Facts, Loop

SET_CHILD_SUBREAPER = 36


@pytest.fixture
def selector() -> Iterator[selectors.BaseSelector]:
    with selectors.DefaultSelector() as selector:
        yield selector


@pytest.fixture
def timers() -> Timers:
    return Timers()


@pytest.fixture
def log() -> Facts:
    return Facts()


@pytest.fixture
def loop(selector: selectors.BaseSelector, timers: Timers) -> Loop:
    return Loop(selector, timers)


@pytest.fixture
def children(loop: Loop) -> Iterator[Children]:
    """A registry whose children the loop reaps; orphans of theirs come to this process, as to the daemon.

    It reaps every child that ends: a test that has it starts its processes with it.
    """
    before = set(psutil.Process().children())
    become_subreaper()
    children = Children()
    loop.in_each_turn.append(children.reap)
    yield children
    while left := set(psutil.Process().children()) - before:
        for process in left:
            os.kill(process.pid, signal.SIGKILL)
            os.waitpid(process.pid, 0)
    ctypes.CDLL(None).prctl(SET_CHILD_SUBREAPER, 0, 0, 0, 0)
