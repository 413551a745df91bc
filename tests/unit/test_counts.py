"""What the processes of a queue have counted: it outlasts each of them, and nothing of it is counted twice."""

import json

from agent.decide.counts import Counts
from agent.decide.events import Confused, Consuming, Exited, Happened
from agent.decide.limits import without_cgroup
from agent.decide.rows import Rows
from agent.decide.snapshot import Agent, snapshot
from agent.decide.status_json import decode_status
from agent.decide.view import view
from agent.guest.scoreboard import Pulse
from tests.unit.specs import plan
from tests.unit.world import World, serving

AGENT = Agent("magic", "1.0", 1, started=0.0, enforcement=without_cgroup("none here"))


def shown(world: World, pulses: dict[int, Pulse]) -> tuple[int, int, int]:
    told = snapshot(AGENT, world.node, pulses, view(world.node, pulses, world.now), {}, world.now, Rows())
    queue = decode_status(json.loads(told)).queues[0]
    return queue.succeeded, queue.failed, queue.retried


def ended(world: World, pid: int, pulse: Pulse | None) -> None:
    world.handle(Happened(*world.alive.pop(pid), Exited(-9, (), pulse)))


def test_a_killed_workers_counts_are_added_to_those_of_the_next() -> None:
    world, pids = serving(a=1)
    ended(world, pids["a"], Pulse(1.0, succeeded=5, failed=2, retried=1))
    assert shown(world, {}) == (5, 2, 1)
    assert shown(world, {world.consume(): Pulse(2.0, succeeded=1)}) == (6, 2, 1)


def test_those_of_a_worker_that_drains_count_as_long_as_it_is_there_and_afterwards() -> None:
    world, pids = serving(a=1)
    world.adopt(plan(a=2))
    pulses = {pids["a"]: Pulse(1.0, succeeded=5), world.fork(): Pulse(1.0, succeeded=1)}
    assert shown(world, pulses) == (6, 0, 0)
    world.report(world.next_pid, Consuming())
    assert shown(world, pulses) == (6, 0, 0)
    ended(world, pids["a"], Pulse(2.0, succeeded=7))
    assert shown(world, {world.next_pid: Pulse(3.0, succeeded=2)}) == (9, 0, 0)


def test_those_of_a_process_that_nobody_knows_any_more_are_not_lost() -> None:
    world, pids = serving(a=1)
    world.handle(Confused("a"))
    ended(world, pids["a"], Pulse(1.0, succeeded=5))
    assert world.node.counts["a"] == Counts(5)


def test_a_queue_that_was_removed_goes_on_where_it_was_when_it_comes_again() -> None:
    world, pids = serving(a=1, b=1)
    world.adopt(plan(b=1))
    ended(world, pids["a"], Pulse(1.0, failed=3))
    world.adopt(plan(a=1, b=1))
    assert shown(world, {}) == (0, 3, 0)


def test_a_process_that_said_nothing_adds_nothing() -> None:
    world, pids = serving(a=1)
    ended(world, pids["a"], None)
    assert shown(world, {}) == (0, 0, 0)
