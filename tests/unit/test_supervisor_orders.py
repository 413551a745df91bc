"""What a node does about its queues, whatever the order in which things happen."""

from hypothesis import given, settings
from hypothesis import strategies as st

from agent.decide.events import (
    Confused,
    Connecting,
    Consuming,
    Drain,
    ForkFailed,
    Happened,
    Shutdown,
    Stalled,
)
from agent.decide.words import State
from tests.unit.specs import plan
from tests.unit.world import World

CHANCES = st.lists(
    st.tuples(
        st.sampled_from(["plan", "fork", "no fork", "connect", "consume", "exit", "tick", "late", "stall", "confused"]),
        st.integers(min_value=0, max_value=7),
    ),
    max_size=80,
)
PLANS = [plan(), plan(a=1), plan(a=2), plan(a=1, b=1), plan(b=1), plan(b=2, c=1), plan(a=3, c=1), plan(c=2)]


def happen(world: World, chance: str, choice: int) -> None:
    pids = list(world.alive)
    match chance:
        case "plan":
            world.adopt(PLANS[choice])
        case "fork" if world.pending:
            world.fork()
        case "no fork" if world.pending:
            world.handle(Happened(*world.pending.pop(0), ForkFailed()))
        case "connect" if pids:
            world.report(pids[choice % len(pids)], Connecting())
        case "consume" if pids:
            world.report(pids[choice % len(pids)], Consuming())
        case "exit" if pids:
            world.exit(pids[choice % len(pids)])
        case "tick" | "late":
            world.now += 1 if chance == "tick" else 100
            world.tick()
        case "stall":
            world.now += 100
            world.handle(Stalled(100))
        case "confused":
            world.handle(Confused("abc"[choice % 3]))


@settings(max_examples=1000)
@given(CHANCES)
def test_whatever_the_order_every_process_is_known_and_none_is_signalled_after_its_end(
    chances: list[tuple[str, int]],
) -> None:
    world = World()
    for chance, choice in chances:
        happen(world, chance, choice)
        known = {worker.pid for worker in world.node.workers() if worker.pid is not None}
        assert known <= set(world.alive)
        killed_late = {pid for pid in world.alive if pid not in known}
        assert all((world.alive[pid][0], Shutdown.KILL) in world.stopped for pid in killed_late)


@settings(max_examples=1000)
@given(CHANCES)
def test_from_anywhere_the_last_plan_comes_true(chances: list[tuple[str, int]]) -> None:
    world = World()
    for chance, choice in chances:
        happen(world, chance, choice)
    world.adopt(plan(a=1, z=1))
    for _ in range(60):
        while world.pending:
            world.fork()
        for pid in list(world.alive):
            leaving = [w for w in world.node.workers() if w.pid == pid and w.state is not State.STOPPING]
            if leaving:
                world.report(pid, Consuming())
            else:
                world.exit(pid, 0)
        world.now += 2  # the longest back-off, 60 s, ends on the way
        world.tick()
    assert {name: queue.current.state for name, queue in world.node.queues.items()} == {
        "a": State.CONSUMING,
        "z": State.CONSUMING,
    }
    assert len(world.alive) == 2


@settings(max_examples=1000)
@given(CHANCES)
def test_from_anywhere_a_drain_ends(chances: list[tuple[str, int]]) -> None:
    world = World()
    for chance, choice in chances:
        happen(world, chance, choice)
    world.handle(Drain(Shutdown.WARM))
    for _ in range(4):
        world.now += 1000
        while world.pending:
            world.fork()
        world.tick()
    for pid in list(world.alive):
        world.exit(pid)
    assert world.node.is_finished()
