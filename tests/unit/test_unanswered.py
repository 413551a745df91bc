"""What looks after results that the broker has not answered for."""

import threading
from collections.abc import Iterator
from typing import Any

import pytest

from celery_delivery.sending import unanswered
from celery_delivery.sending.unanswered import LAST_LOOK, Look


class Connection:
    """What a look is at."""


class Slow:
    """A producer that is at it until told."""

    begun: threading.Event
    told: threading.Event
    done: threading.Event

    def __init__(self, _connection: Any) -> None: ...

    def settle(self) -> bool:
        self.begun.set()
        self.told.wait(60)
        self.done.set()
        return True


@pytest.fixture
def look(monkeypatch: pytest.MonkeyPatch) -> Iterator[Look]:
    """A look whose thread is just writing results again."""
    monkeypatch.setattr(unanswered, "LOOK", 0.0)
    Slow.begun, Slow.told, Slow.done = threading.Event(), threading.Event(), threading.Event()
    look = Look()
    look.after(Connection(), Slow)
    assert Slow.begun.wait(10)
    yield look
    Slow.told.set()


def test_the_end_of_a_process_waits_for_results_that_its_thread_is_writing_again(
    look: Look, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("time.sleep", lambda _: Slow.told.set())  # what the end does meanwhile
    look._last()
    assert Slow.done.is_set()


def test_the_end_of_a_process_waits_once_where_the_broker_is_silent(
    look: Look, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A process has two kinds of last words: `atexit` and those of multiprocessing."""
    slept: list[float] = []
    monkeypatch.setattr("time.monotonic", lambda: sum(slept))
    monkeypatch.setattr("time.sleep", slept.append)
    look._last()
    look._last()
    assert LAST_LOOK <= sum(slept) < LAST_LOOK + 0.1
    assert not Slow.done.is_set()
