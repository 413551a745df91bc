"""The life of one worker, told without a single process: each row of the table in agent.decide.worker_state is a row here."""

from dataclasses import replace

import pytest

from agent.decide.events import (
    Action,
    Connecting,
    Consuming,
    Down,
    Exited,
    Fork,
    Forked,
    ForkFailed,
    ImpossibleEvent,
    Replace,
    ShowStacks,
    Shutdown,
    Stalled,
    Stop,
    Tick,
    Unheard,
    Up,
    WorkerEvent,
)
from agent.decide.words import State
from agent.decide.worker_state import Worker, step
from tests.unit.specs import SPEC

STOPPED = Worker(SPEC)
ASKED = replace(STOPPED, state=State.STARTING, wanted=True, generation=1, deadline=5.0)
STARTING = replace(ASKED, pid=7)
CONNECTING = replace(STARTING, state=State.CONNECTING, deadline=None, up_since=1.0)
CONSUMING = replace(CONNECTING, state=State.CONSUMING)
STOPPING = replace(CONSUMING, state=State.STOPPING, wanted=False, deadline=60.0)
COLD = replace(STOPPING, stopping_with=Shutdown.COLD)
KILLED = replace(STOPPING, stopping_with=Shutdown.KILL, deadline=None)
UNBORN = replace(ASKED, state=State.STOPPING, wanted=False)
BACKOFF = replace(STOPPED, state=State.BACKOFF, wanted=True, generation=1, failures=2, deadline=2.0)


HUNG = Replace("it hangs", ("id",))
DEAF = Replace("it hangs", how=Shutdown.WARM)
SHOWN = ShowStacks("emails", 7, "it hangs")


def stop(how: Shutdown) -> tuple[Action, ...]:
    return (Stop("emails", 7, how),)


@pytest.mark.parametrize(
    ("worker", "event", "now", "state", "actions"),
    [
        (STOPPED, Up(), 0, State.STARTING, (Fork(SPEC, 1),)),
        (ASKED, Forked(7), 1, State.STARTING, ()),
        (STARTING, Connecting(), 1, State.CONNECTING, ()),
        (STARTING, Consuming(), 1, State.CONSUMING, ()),
        (STARTING, Tick(), 4.9, State.STARTING, ()),
        (STARTING, Tick(), 5.0, State.STOPPING, stop(Shutdown.KILL)),
        (replace(ASKED, failures=1), Tick(), 5.0, State.BACKOFF, ()),
        (CONNECTING, Consuming(), 2, State.CONSUMING, ()),
        (CONNECTING, Tick(), 1e6, State.CONNECTING, ()),
        (CONSUMING, Connecting(), 2, State.CONNECTING, ()),
        (CONSUMING, Tick(), 1e6, State.CONSUMING, ()),
        (STARTING, Unheard(), 2, State.STARTING, ()),  # it has a deadline
        (CONNECTING, Unheard(), 2, State.STOPPING, stop(Shutdown.WARM)),
        (CONSUMING, Unheard(), 2, State.STOPPING, stop(Shutdown.WARM)),
        (STOPPING, Unheard(), 2, State.STOPPING, ()),
        (STARTING, HUNG, 2, State.STARTING, ()),
        (CONNECTING, DEAF, 2, State.STOPPING, (SHOWN, *stop(Shutdown.WARM))),
        (CONSUMING, DEAF, 2, State.STOPPING, (SHOWN, *stop(Shutdown.WARM))),
        (CONSUMING, HUNG, 2, State.STOPPING, (SHOWN,)),
        (STOPPING, HUNG, 2, State.STOPPING, ()),
        (step(CONSUMING, HUNG, 2)[0], Tick(), 2.9, State.STOPPING, ()),
        (step(CONSUMING, HUNG, 2)[0], Tick(), 3.0, State.STOPPING, stop(Shutdown.KILL)),
        (STARTING, Down(), 1, State.STOPPING, stop(Shutdown.WARM)),
        (CONNECTING, Down(), 1, State.STOPPING, stop(Shutdown.WARM)),
        (CONSUMING, Down(), 1, State.STOPPING, stop(Shutdown.WARM)),
        (CONSUMING, Down(Shutdown.COLD), 1, State.STOPPING, stop(Shutdown.COLD)),
        (ASKED, ForkFailed(), 1, State.STARTING, (Fork(SPEC, 2),)),
        (replace(ASKED, failures=1), ForkFailed(), 1, State.BACKOFF, ()),
        (STARTING, Exited(1), 1, State.STARTING, (Fork(SPEC, 2),)),
        (CONSUMING, Exited(-9), 2, State.STARTING, (Fork(SPEC, 2),)),
        (replace(CONSUMING, failures=1), Exited(-9), 2, State.BACKOFF, ()),
        (ASKED, Down(), 1, State.STOPPING, ()),
        (UNBORN, Forked(7), 1, State.STOPPING, stop(Shutdown.WARM)),
        (UNBORN, ForkFailed(), 1, State.STOPPED, ()),
        (UNBORN, Tick(), 5.0, State.STOPPED, ()),
        (STOPPING, Down(Shutdown.COLD), 2, State.STOPPING, stop(Shutdown.COLD)),
        (COLD, Down(Shutdown.WARM), 2, State.STOPPING, ()),
        (STOPPING, Tick(), 60, State.STOPPING, stop(Shutdown.COLD)),
        (COLD, Tick(), 60, State.STOPPING, stop(Shutdown.KILL)),
        (KILLED, Tick(), 1e6, State.STOPPING, ()),
        (STOPPING, Connecting(), 2, State.STOPPING, ()),
        (STOPPING, Exited(0), 2, State.STOPPED, ()),
        (replace(STOPPING, wanted=True), Exited(0), 2, State.STARTING, (Fork(SPEC, 2),)),
        (BACKOFF, Tick(), 1.9, State.BACKOFF, ()),
        (BACKOFF, Tick(), 2.0, State.STARTING, (Fork(SPEC, 2),)),
        (BACKOFF, Down(), 0, State.STOPPED, ()),
        (BACKOFF, Exited(1), 0, State.BACKOFF, ()),
        (STOPPED, Down(), 0, State.STOPPED, ()),
    ],
)
def test_transition(worker: Worker, event: WorkerEvent, now: float, state: State, actions: tuple[Action, ...]) -> None:
    after, done = step(worker, event, now)
    assert (after.state, done) == (state, actions)


@pytest.mark.parametrize(
    ("worker", "event"),
    [
        (STARTING, Forked(8)),
        (CONSUMING, Forked(8)),
        (CONSUMING, ForkFailed()),
        (STOPPING, Forked(8)),
        (ASKED, Exited(1)),
        (ASKED, Connecting()),
        (ASKED, Consuming()),
        (UNBORN, Exited(1)),
    ],
)
def test_what_can_not_be_is_an_error(worker: Worker, event: WorkerEvent) -> None:
    with pytest.raises(ImpossibleEvent, match="of emails in state"):
        step(worker, event, 1)


@pytest.mark.parametrize("event", [Forked(7), ForkFailed(), Connecting(), Consuming(), Exited(1)])
@pytest.mark.parametrize("worker", [BACKOFF, STOPPED])
def test_what_comes_late_changes_nothing(worker: Worker, event: WorkerEvent) -> None:
    assert step(worker, event, 1) == (worker, ())


@pytest.mark.parametrize(
    ("worker", "event", "reason"),
    [
        (ASKED, ForkFailed("no memory"), "no memory"),
        (ASKED, Tick(), "there was no process within 5 s"),
        (STARTING, Tick(), "its tasks were not loaded within 5 s"),
    ],
)
def test_why_a_start_came_to_nothing_is_known_until_a_process_reports_or_ends(
    worker: Worker, event: WorkerEvent, reason: str
) -> None:
    failed, _ = step(worker, event, 5)
    if failed.state is State.STOPPING:
        failed, _ = step(failed, Exited(-9), 6)
    assert failed.not_started == reason
    again, _ = step(failed, Tick(), 7)
    forked, _ = step(again, Forked(8), 8)
    assert forked.not_started == reason
    for known in (Connecting(), Exited(1)):
        assert step(forked, known, 9)[0].not_started is None


def test_a_worker_told_to_go_before_it_has_a_pid_goes_as_it_was_told_last() -> None:
    worker, _ = step(ASKED, Down(), 1)
    worker, _ = step(worker, Down(Shutdown.COLD), 2)
    _, actions = step(worker, Forked(7), 3)
    assert actions == stop(Shutdown.COLD)


def test_a_stopping_worker_wanted_again_comes_back() -> None:
    worker, _ = step(STOPPING, Up(), 1)
    _, actions = step(worker, Exited(0), 2)
    assert actions == (Fork(SPEC, 2),)


def test_a_worker_that_was_up_long_enough_starts_a_new_row_of_failures() -> None:
    worker, actions = step(replace(CONSUMING, failures=9), Exited(-9), 100)
    assert (worker.failures, actions) == (1, (Fork(SPEC, 2),))


def test_a_worker_that_keeps_dying_waits_longer_each_time_and_never_gives_up() -> None:
    worker, now, waits = STOPPED, 0.0, []
    worker, _ = step(worker, Up(), now)
    for _ in range(12):
        worker, _ = step(worker, Forked(7), now)
        worker, _ = step(worker, Exited(1), now)
        waits.append(0.0 if worker.deadline is None or worker.state is State.STARTING else worker.deadline - now)
        if worker.state is State.BACKOFF:
            now += waits[-1]
            worker, _ = step(worker, Tick(), now)
    longest = [0, 1, 2, 4, 8, 16, 32, 60, 60, 60, 60, 60]
    assert all(0.75 * most <= wait <= most for wait, most in zip(waits, longest, strict=True))
    assert waits[-2] != waits[-1]  # workers that all died at once don't all come back at once


def test_a_stall_moves_the_deadline_and_not_the_state() -> None:
    worker, actions = step(STARTING, Stalled(100), 101)
    assert (worker.state, worker.deadline, actions) == (State.STARTING, 105.0, ())


def test_a_process_that_survives_kill_is_not_signalled_again() -> None:
    worker, _ = step(COLD, Tick(), 60)
    assert worker.deadline is None
