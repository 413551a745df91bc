"""Deadlines of the loop, by the real clock: what is due at once is 0 seconds away."""

import time

from agent.run.timers import Timers

FAR = 3600.0  # seconds; no test takes so long


def fire(timers: Timers) -> None:
    for do in timers.due():
        do()


def test_what_is_due_is_called_once(timers: Timers) -> None:
    called: list[str] = []
    timers.after(0, "a", lambda: called.append("a"))
    fire(timers)
    fire(timers)
    assert called == ["a"]


def test_what_is_not_due_waits(timers: Timers) -> None:
    called: list[str] = []
    timers.after(FAR, "a", lambda: called.append("a"))
    fire(timers)
    assert not called
    assert "a" in timers


def test_a_name_that_is_set_again_is_called_at_its_new_time_only(timers: Timers) -> None:
    called: list[str] = []
    timers.after(0, "a", lambda: called.append("first"))
    timers.after(FAR, "a", lambda: called.append("second"))
    fire(timers)
    assert not called
    timers.after(0, "a", lambda: called.append("third"))
    fire(timers)
    assert called == ["third"]


def test_what_is_cancelled_is_never_called(timers: Timers) -> None:
    called: list[str] = []
    timers.after(0, "a", lambda: called.append("a"))
    timers.cancel("a")
    timers.cancel("a")
    fire(timers)
    assert not called
    assert "a" not in timers


def test_what_one_cancels_is_not_called_in_the_same_turn(timers: Timers) -> None:
    called: list[str] = []
    timers.after(0, "a", lambda: timers.cancel("b"))
    timers.after(0, "b", lambda: called.append("b"))
    fire(timers)
    assert not called


def test_one_that_sets_itself_again_is_called_once_in_a_turn(timers: Timers) -> None:
    called: list[str] = []

    def again() -> None:
        called.append("a")
        timers.after(0, "a", again)

    again()
    fire(timers)
    assert called == ["a", "a"]
    assert "a" in timers


def test_what_one_fails_at_leaves_the_others_due(timers: Timers) -> None:
    called: list[str] = []
    timers.after(0, "a", lambda: called.append("a"))
    timers.after(0, "b", lambda: called.append("b"))
    next(timers.due())
    fire(timers)
    assert called == ["b"]


def test_the_next_one_is_the_earliest(timers: Timers) -> None:
    assert timers.next() is None
    before = time.monotonic()
    timers.after(2 * FAR, "late", lambda: None)
    timers.after(FAR, "early", lambda: None)
    due = timers.next()
    assert due is not None
    assert before + FAR <= due <= time.monotonic() + FAR
