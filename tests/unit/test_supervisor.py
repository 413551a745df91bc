"""What a node does about its queues, told without a single process."""

from dataclasses import replace

from agent.decide.endings import Ending
from agent.decide.events import (
    Confused,
    Connecting,
    Consuming,
    Drain,
    Exited,
    Fork,
    Grown,
    Happened,
    Limit,
    OutOfMemory,
    Shutdown,
    Stop,
)
from agent.decide.plan import Plan
from agent.decide.words import State
from agent.guest.spec import Limits
from tests.unit.specs import plan
from tests.unit.world import World, serving

KILLED = OutOfMemory(1, limit=7)


def limited(plan: Plan, queue: str, limits: Limits) -> Plan:
    return replace(
        plan,
        workers=tuple(replace(each, limits=limits) if each.queue == queue else each for each in plan.workers),
    )


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


def test_a_worker_that_has_grown_serves_until_a_fresh_one_does_and_is_no_restart() -> None:
    world, pids = serving(a=1, b=1)
    world.handle(Happened("a", 1, Grown(7)))
    world.handle(Happened("a", 1, Grown(8)))  # once is enough
    assert world.pending == [("a", 2)]
    assert world.node.queues["a"].current.state is State.CONSUMING
    actions = world.handle(Happened(*world.alive[world.fork()], Consuming()))
    assert actions == (Stop("a", pids["a"], Shutdown.WARM),)
    queue = world.node.queues["a"]
    assert (queue.current.generation, queue.recycled, queue.restarts, queue.last_exit) == (2, 1, 0, None)
    assert world.node.queues["b"].recycled == 0


def test_who_has_grown_and_is_going_is_not_replaced() -> None:
    world, _ = serving(a=1)
    world.handle(Drain(Shutdown.WARM))
    assert world.handle(Happened("a", 1, Grown(7))) == ()


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
