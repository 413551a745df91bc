"""Signals that wait for what a worker writes: how long, and who lets them go."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from types import SimpleNamespace

import pytest

from celery_delivery.worker import writes
from celery_delivery.worker.writes import WholeWrites


@pytest.fixture
def handled() -> Iterator[list[int]]:
    """The signals that were handled; what was installed before is put back afterwards."""
    before = {number: signal.getsignal(number) for number in writes.SIGNALS}
    seen: list[int] = []
    for number in writes.SIGNALS:
        signal.signal(number, lambda number, _frame: seen.append(number))
    yield seen
    for number, handler in before.items():
        signal.signal(number, handler)


def holding(*jobs: str) -> tuple[WholeWrites, set[str]]:
    """Return what holds signals while a pool of processes has these jobs half written, and the jobs."""
    half = set(jobs)
    held = WholeWrites(SimpleNamespace(_pool=SimpleNamespace(_active_writers=half)))
    held.hold_signals()
    return held, half


def test_a_signal_that_interrupts_nothing_is_handled_at_once(handled: list[int]) -> None:
    holding()
    signal.raise_signal(signal.SIGQUIT)
    assert handled == [signal.SIGQUIT]


def test_a_signal_waits_for_a_job_that_is_half_written(handled: list[int]) -> None:
    held, half = holding("a job")
    signal.raise_signal(signal.SIGTERM)
    held.catch_up()
    assert handled == []
    half.clear()
    held.catch_up()
    assert handled == [signal.SIGTERM]


def test_signals_are_handled_in_the_order_they_came_in(handled: list[int]) -> None:
    held, half = holding("a job")
    signal.raise_signal(signal.SIGTERM)
    signal.raise_signal(signal.SIGQUIT)
    half.clear()
    held.catch_up()
    assert handled == [signal.SIGTERM, signal.SIGQUIT]


def test_a_process_that_takes_nothing_of_its_job_is_not_waited_for_for_ever(
    handled: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writes, "PATIENCE", 0.0)
    holding("a job")
    signal.raise_signal(signal.SIGQUIT)
    assert handled == [signal.SIGQUIT]


def test_a_pool_without_processes_holds_nothing(handled: list[int]) -> None:
    held = WholeWrites(pool=SimpleNamespace())
    held.hold_signals()
    signal.raise_signal(signal.SIGINT)
    assert handled == [signal.SIGINT]
