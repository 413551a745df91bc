"""What a node does about its queues, told without a single process."""

from dataclasses import dataclass, field, replace

from hypothesis import given, settings
from hypothesis import strategies as st

from agent.decide.endings import Ending
from agent.decide.events import (
    Action,
    Adopt,
    Confused,
    Connecting,
    Consuming,
    Drain,
    Due,
    Exited,
    Fork,
    Forked,
    ForkFailed,
    Happened,
    Limit,
    NodeEvent,
    OutOfMemory,
    Shutdown,
    Stalled,
    Stop,
)
from agent.decide.node import Node
from agent.decide.plan import Plan, difference
from agent.decide.supervisor import handle
from agent.decide.worker_state import State
from agent.guest.spec import Limits
from tests.unit.specs import plan

KILLED = OutOfMemory(1, limit=7)


def limited(plan: Plan, queue: str, limits: Limits) -> Plan:
    return replace(
        plan,
        workers=tuple(replace(each, limits=limits) if each.queue == queue else each for each in plan.workers),
    )


@dataclass
class World:
    """A node and the processes that its actions lead to; every pid is alive until told otherwise."""

    node: Node = field(default_factory=Node)
    now: float = 0.0
    pending: list[tuple[str, int]] = field(default_factory=list)
    alive: dict[int, tuple[str, int]] = field(default_factory=dict)
    stopped: list[tuple[str, Shutdown]] = field(default_factory=list)
    next_pid: int = 100

    def handle(self, event: NodeEvent) -> tuple[Action, ...]:
        self.node, actions = handle(self.node, event, self.now)
        for action in actions:
            match action:
                case Fork(spec, generation):
                    self.pending.append((spec.queue, generation))
                case Stop(queue, pid, how):
                    assert pid in self.alive, "signalled a pid that is not ours"
                    self.stopped.append((queue, how))
        return actions

    def adopt(self, plan: Plan) -> tuple[Action, ...]:
        return self.handle(Adopt(plan, difference(self.node.plan, plan)))

    def tick(self) -> None:
        """Tell each queue of which a deadline has passed."""
        for queue in self.node.due(self.now):
            self.handle(Due(queue))

    def fork(self) -> int:
        """Answer the oldest fork request; return the pid."""
        queue, generation = self.pending.pop(0)
        self.next_pid += 1
        self.alive[self.next_pid] = (queue, generation)
        self.handle(Happened(queue, generation, Forked(self.next_pid)))
        return self.next_pid

    def report(self, pid: int, event: Connecting | Consuming) -> None:
        self.handle(Happened(*self.alive[pid], event))

    def exit(self, pid: int, status: int = -9) -> None:
        self.handle(Happened(*self.alive.pop(pid), Exited(status)))

    def consume(self) -> int:
        pid = self.fork()
        self.report(pid, Consuming())
        return pid


def serving(**concurrency: int) -> tuple[World, dict[str, int]]:
    world = World()
    world.adopt(plan(**concurrency))
    pids = {}
    for queue in sorted(concurrency):
        pids[queue] = world.consume()
    return world, pids


def test_a_plan_starts_one_worker_per_queue() -> None:
    world = World()
    world.adopt(plan(a=1, b=1))
    assert world.pending == [("a", 1), ("b", 1)]


def test_a_dead_worker_is_replaced_and_no_other_is_touched() -> None:
    world, pids = serving(a=1, b=1)
    before = world.node.queues["b"]
    world.exit(pids["a"])
    assert world.pending == [("a", 2)]
    assert world.node.queues["b"] is before or world.node.queues["b"] == before


def test_a_worker_in_backoff_delays_no_other_queue() -> None:
    world, pids = serving(a=1, b=1)
    world.exit(pids["a"])
    world.exit(world.fork())
    assert world.node.queues["a"].current.state is State.BACKOFF
    world.exit(pids["b"])
    assert world.pending == [("b", 2)]


def test_restarts_count_what_ended_unasked_and_say_how() -> None:
    world, pids = serving(a=1)
    world.exit(pids["a"], -9)
    world.exit(world.consume(), 3)
    queue = world.node.queues["a"]
    assert (queue.restarts, queue.last_exit) == (2, Ending(3))


def test_a_kill_for_want_of_memory_is_what_the_worker_ended_of() -> None:
    world, pids = serving(a=1)
    world.handle(Happened("a", 1, KILLED))
    world.now += 1
    world.exit(pids["a"], -9)
    queue = world.node.queues["a"]
    assert (queue.restarts, queue.oom_kills, queue.last_exit) == (1, 1, Ending(-9, KILLED))


def test_a_pool_child_killed_for_want_of_memory_is_told_of_and_its_worker_lives_on() -> None:
    world, _ = serving(a=1, b=1)
    assert world.handle(Happened("a", 1, KILLED)) == ()
    queue = world.node.queues["a"]
    assert (queue.restarts, queue.oom_kills, queue.last_exit) == (0, 1, Ending(None, KILLED))
    assert queue.current.state is State.CONSUMING
    assert world.node.queues["b"].last_exit is None


def test_limits_are_changed_without_replacing_any_worker_of_the_queue() -> None:
    world, pids = serving(a=1, b=1)
    world.adopt(plan(a=2, b=1))
    successor = world.fork()
    limits = Limits(memory_max=7)
    actions = world.adopt(limited(plan(a=2, b=1), "a", limits))
    assert set(actions) == {Limit("a", 1, pids["a"], limits), Limit("a", 2, successor, limits)}
    world.report(successor, Consuming())
    assert world.node.queues["a"].current.spec.limits == limits


def test_a_worker_that_is_forked_after_its_limits_changed_has_the_new_ones() -> None:
    world, pids = serving(a=1)
    world.adopt(limited(plan(a=1), "a", Limits(pids_max=9)))
    (fork,) = world.handle(Happened(*world.alive.pop(pids["a"]), Exited(-9)))
    assert isinstance(fork, Fork)
    assert fork.spec.limits == Limits(pids_max=9)


def test_a_changed_timeout_changes_nothing_in_the_kernel() -> None:
    world, _ = serving(a=1)
    patient = replace(plan(a=1), workers=(replace(plan(a=1).workers[0], warm_timeout=600),))
    assert world.adopt(patient) == ()
    world.handle(Drain(Shutdown.WARM))
    assert world.node.next_deadline() == 600


def test_a_reload_that_changes_nothing_does_nothing() -> None:
    world, _ = serving(a=1, b=1)
    assert world.adopt(plan(a=1, b=1)) == ()


def test_a_reload_touches_only_what_changed() -> None:
    world, pids = serving(a=1, b=1, c=1)
    world.adopt(plan(a=1, b=2, d=1))
    assert world.pending == [("b", 2), ("d", 1)]
    assert world.stopped == [("c", Shutdown.WARM)]
    assert world.node.queues["a"].current.pid == pids["a"]


def test_a_changed_worker_goes_only_when_its_successor_consumes() -> None:
    world, pids = serving(a=1)
    world.adopt(plan(a=2))
    successor = world.fork()
    world.report(successor, Connecting())
    assert world.stopped == []
    world.report(successor, Consuming())
    assert world.stopped == [("a", Shutdown.WARM)]
    assert world.node.queues["a"].current.pid == successor
    assert [worker.pid for worker in world.node.queues["a"].retiring] == [pids["a"]]
    world.exit(pids["a"], 0)
    assert world.node.queues["a"].retiring == ()


def test_with_the_broker_away_a_successor_that_reaches_for_it_takes_over_from_one_that_does() -> None:
    world, pids = serving(a=1)
    world.report(pids["a"], Connecting())
    world.adopt(plan(a=2))
    world.report(world.fork(), Connecting())
    assert world.stopped == [("a", Shutdown.WARM)]


def test_a_worker_that_dies_while_its_successor_starts_is_not_started_again() -> None:
    world, pids = serving(a=1)
    world.adopt(plan(a=2))
    world.exit(pids["a"])
    assert world.pending == [("a", 2)]
    assert world.node.queues["a"].current.spec.concurrency == 2


def test_a_second_reload_replaces_the_successor_and_not_the_serving_worker() -> None:
    world, pids = serving(a=1)
    world.adopt(plan(a=2))
    first = world.fork()
    world.adopt(plan(a=3))
    assert world.stopped == [("a", Shutdown.WARM)]
    assert world.pending == [("a", 3)]
    world.exit(first, 0)
    assert world.node.queues["a"].current.pid == pids["a"]


def test_a_worker_that_fails_is_replaced_at_once_by_a_reload() -> None:
    world, pids = serving(a=1)
    world.exit(pids["a"])
    world.exit(world.fork())
    world.adopt(plan(a=2))
    assert world.pending == [("a", 3)]
    assert world.node.queues["a"].current.state is State.STARTING


def test_a_removed_queue_is_forgotten_when_its_worker_is_gone() -> None:
    world, pids = serving(a=1, b=1)
    world.adopt(plan(b=1))
    assert set(world.node.queues) == {"a", "b"}
    world.exit(pids["a"], 0)
    assert set(world.node.queues) == {"b"}


def test_a_queue_that_is_removed_and_added_again_has_a_new_worker_beside_the_draining_one() -> None:
    world, pids = serving(a=1)
    world.adopt(plan(b=1))
    world.adopt(plan(a=1, b=1))
    assert ("a", 2) in world.pending
    assert [worker.pid for worker in world.node.queues["a"].retiring] == [pids["a"]]


def test_a_fork_that_is_answered_too_late_is_killed() -> None:
    world = World()
    world.adopt(plan(a=1))
    world.now = 6.0  # past the start timeout
    world.tick()
    late, again = world.pending
    world.pending = [late]
    world.fork()
    assert world.stopped == [("a", Shutdown.KILL)]
    assert again == ("a", 2)


def test_a_process_that_comes_when_its_queue_was_forgotten_and_is_there_again_is_not_taken_for_the_new_one() -> None:
    world = World()
    world.adopt(plan(a=1))
    world.adopt(plan())
    world.now = 6.0  # past the start timeout
    world.tick()
    assert world.node.queues == {}
    late = world.fork()
    world.adopt(plan(a=1))
    world.report(late, Consuming())
    assert world.pending == [("a", 2)]
    assert world.node.queues["a"].current.state is State.STARTING


def test_drain_stops_everything_and_finishes_when_all_are_gone() -> None:
    world, pids = serving(a=1, b=1)
    world.handle(Drain(Shutdown.WARM))
    assert world.stopped == [("a", Shutdown.WARM), ("b", Shutdown.WARM)]
    world.exit(pids["a"], 0)
    assert not world.node.is_finished()
    world.exit(pids["b"], 0)
    assert world.node.is_finished()


def test_a_drain_is_escalated_by_time_and_by_a_second_order() -> None:
    world, _ = serving(a=1)
    world.handle(Drain(Shutdown.WARM))
    world.now += 60
    world.tick()
    world.handle(Drain(Shutdown.KILL))
    assert [how for _, how in world.stopped] == [Shutdown.WARM, Shutdown.COLD, Shutdown.KILL]


def test_a_plan_that_comes_while_draining_is_ignored() -> None:
    world, _ = serving(a=1)
    world.handle(Drain(Shutdown.WARM))
    assert world.adopt(plan(a=1, b=1)) == ()


def test_an_idle_node_waits_for_nothing() -> None:
    world, _ = serving(a=1, b=1)
    assert world.node.next_deadline() is None


def test_a_queue_at_which_the_agent_failed_begins_anew_and_no_other_is_touched() -> None:
    world, pids = serving(a=1, b=1)
    before = world.node.queues["b"]
    world.handle(Confused("a"))
    assert world.stopped == [("a", Shutdown.KILL)]
    assert world.node.queues["b"] == before
    world.exit(pids["a"])
    assert world.pending == []  # a fault of the agent's own comes again at once: it pauses first
    world.now += 1
    world.tick()
    assert world.pending == [("a", 2)]


def test_a_queue_that_leaves_is_forgotten_where_the_agent_failed_at_it() -> None:
    world, _ = serving(a=1, b=1)
    world.adopt(plan(b=1))
    world.handle(Confused("a"))
    assert list(world.node.queues) == ["b"]


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


@settings(max_examples=1000, deadline=None)
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


@settings(max_examples=1000, deadline=None)
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


@settings(max_examples=1000, deadline=None)
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
