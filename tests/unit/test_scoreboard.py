"""The page that a worker writes and the daemon reads."""

import os
from collections.abc import Iterator

import pytest

from agent.guest.scoreboard import MOST_ACTIVE, ActiveTask, Pulse, Scoreboard, create

PULSE = Pulse(
    at=12.5,
    queues=("emails",),
    active=(ActiveTask("id-1", "send", 10.0),),
    active_count=1,
    succeeded=3,
    failed=2,
    retried=1,
    lag=0.25,
    still=7.5,
    clock="an hour behind",
)


@pytest.fixture
def descriptor() -> Iterator[int]:
    descriptor = create()
    yield descriptor
    os.close(descriptor)


def test_what_one_end_writes_the_other_end_reads(descriptor: int) -> None:
    writer, reader = Scoreboard(descriptor), Scoreboard(descriptor)
    writer.write(PULSE)
    assert reader.read() == PULSE


def test_the_last_words_stay_when_the_writer_is_gone(descriptor: int) -> None:
    writer, reader = Scoreboard(descriptor), Scoreboard(descriptor)
    writer.write(PULSE)
    writer.close()
    assert reader.read() == PULSE


def test_an_empty_page_says_nothing(descriptor: int) -> None:
    assert Scoreboard(descriptor).read() is None


@pytest.mark.parametrize("offset", [0, 4, 20])
def test_half_a_write_is_not_believed(descriptor: int, offset: int) -> None:
    board = Scoreboard(descriptor)
    board.write(PULSE)
    os.pwrite(descriptor, b"\xff", offset)
    assert board.read() is None


def test_tasks_that_do_not_fit_are_left_out_and_still_counted(descriptor: int) -> None:
    board = Scoreboard(descriptor)
    active = tuple(ActiveTask(f"id-{number}", "n" * 1000, 1.0) for number in range(MOST_ACTIVE))
    board.write(Pulse(at=1.0, active=active, active_count=len(active)))
    read = board.read()
    assert read is not None
    assert read.active_count == MOST_ACTIVE
    assert 0 < len(read.active) < MOST_ACTIVE
    assert read.active == active[: len(read.active)]
