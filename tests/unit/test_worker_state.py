"""The life of one worker, told without a single process: each row of the table in agent.decide.worker_state is a row here."""

from dataclasses import dataclass, field, replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

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
    Shutdown,
    Stalled,
    Stop,
    Tick,
    Unheard,
    Up,
    WorkerEvent,
)
from agent.decide.worker_state import State, Worker, step
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
    assert waits == [0, 1, 2, 4, 8, 16, 32, 60, 60, 60, 60, 60]


def test_a_stall_moves_the_deadline_and_not_the_state() -> None:
    worker, actions = step(STARTING, Stalled(100), 101)
    assert (worker.state, worker.deadline, actions) == (State.STARTING, 105.0, ())


def test_a_process_that_survives_kill_is_not_signalled_again() -> None:
    worker, _ = step(COLD, Tick(), 60)
    assert worker.deadline is None


@dataclass
class World:
    """Obeys actions as an operating system would, in any order and with any delay."""

    pending: list[int] = field(default_factory=list)
    alive: dict[int, int] = field(default_factory=dict)
    next_pid: int = 100

    def do(self, actions: tuple[Action, ...]) -> None:
        for action in actions:
            match action:
                case Fork(_, generation):
                    self.pending.append(generation)
                case Stop(_, pid, _):
                    assert pid in self.alive, "signalled a pid that is not ours"

    def fork(self) -> Forked:
        self.next_pid += 1
        self.alive[self.next_pid] = self.pending.pop()
        return Forked(self.next_pid)


CHANCES = st.lists(
    st.sampled_from(["up", "down", "fork", "no fork", "connect", "consume", "mute", "exit", "tick", "late"]),
    max_size=60,
)


def happen(chance: str, world: World) -> WorkerEvent | None:
    match chance:
        case "up":
            return Up()
        case "down":
            return Down()
        case "fork" if world.pending:
            return world.fork()
        case "no fork" if world.pending:
            world.pending.pop()
            return ForkFailed()
        case "connect" if world.alive:
            return Connecting()
        case "consume" if world.alive:
            return Consuming()
        case "mute" if world.alive:
            return Unheard()
        case "exit" if world.alive:
            world.alive.popitem()
            return Exited(1)
        case "tick" | "late":
            return Tick()
    return None


def live(chances: list[str]) -> tuple[Worker, World, float]:
    worker, world, now = STOPPED, World(), 0.0
    for chance in chances:
        # Late enough for backoff and shutdowns, not for the fork's own deadline: an answer that late is the
        # supervisor's to discard.
        now += {"tick": 1.0, "late": 100.0}.get(chance, 0.0) if not world.pending else 0.0
        event = happen(chance, world)
        if event is not None:
            worker, actions = step(worker, event, now)
            world.do(actions)
        assert len(world.pending) + len(world.alive) <= 1, "two processes for one worker"
        assert (worker.pid is not None) == bool(world.alive)
    return worker, world, now


@settings(max_examples=1000, deadline=None)
@given(CHANCES)
def test_whatever_the_order_never_two_processes_and_never_a_stray_signal(chances: list[str]) -> None:
    live(chances)


@settings(max_examples=1000, deadline=None)
@given(CHANCES)
def test_from_anywhere_down_leads_to_stopped(chances: list[str]) -> None:
    worker, world, now = live(chances)
    worker, actions = step(worker, Down(), now)
    world.do(actions)
    for _ in range(10):
        if worker.state is State.STOPPED:
            break
        event: WorkerEvent = Tick()
        if world.pending:
            event = world.fork()
        elif world.alive and worker.stopping_with is Shutdown.KILL:
            world.alive.clear()
            event = Exited(-9)
        else:
            now += 100
        worker, actions = step(worker, event, now)
        world.do(actions)
    assert worker.state is State.STOPPED
    assert not world.alive


@settings(max_examples=500, deadline=None)
@given(CHANCES)
def test_every_process_has_a_generation_of_its_own(chances: list[str]) -> None:
    seen: list[int] = []
    worker, world = STOPPED, World()
    for chance in chances:
        event = happen(chance, world)
        if event is not None:
            worker, actions = step(worker, event, 0.0)
            world.do(actions)
            seen += [action.generation for action in actions if isinstance(action, Fork)]
    assert seen == sorted(set(seen))
