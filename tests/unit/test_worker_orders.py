"""The life of one worker in whatever order things happen to it: what holds in all of them."""

from dataclasses import dataclass, field

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
    Shutdown,
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


@settings(max_examples=1000)
@given(CHANCES)
def test_whatever_the_order_never_two_processes_and_never_a_stray_signal(chances: list[str]) -> None:
    live(chances)


@settings(max_examples=1000)
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


@settings(max_examples=500)
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
