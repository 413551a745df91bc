"""Periodic tasks of a fleet whose broker is a Redis: one node sends them, and what is said of a Redis that is away holds.

One fleet for all tests, since it takes long to start; each leaves two nodes of it running, or three.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import partial

import pytest

from tests.integration.schedules import LEASE, TAKE_OVER, RedisFleet, freeze_leader, kill_leaders, schedule_of
from tests.node import Node
from tests.rabbitmq import RabbitMQ
from tests.redis import Redis
from tests.waiting import wait_until


def tells_that_redis_is_away(node: Node) -> int:
    return node.log.read_text().count("Ticks are sent by another process, or nobody: Error 111")


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory, broker: RabbitMQ) -> Iterator[RedisFleet]:
    """Three nodes, of which one sends a tick each second, that were started before their Redis."""
    vhost = f"test-{uuid.uuid4().hex[:12]}"
    broker.add_vhost(vhost)
    with ExitStack() as stack:
        stack.callback(broker.delete_vhost, vhost)
        server = Redis()
        stack.callback(server.close)
        fleet = RedisFleet(tmp_path_factory.mktemp("fleet"), broker, vhost, 3, stack, server)
        for node in fleet.nodes:
            node.start()
        for node in fleet.nodes:
            wait_until(partial(tells_that_redis_is_away, node), 30, "tries to reach Redis")
        server.start()
        for node in fleet.nodes:
            node.wait_until_consuming()
        fleet.leader()
        fleet.wait_for_more(2)
        for node in fleet.nodes:  # which have tried every few seconds
            assert tells_that_redis_is_away(node) == 1
        yield fleet
        assert not any("agent-fault" in node.log.read_text() for node in fleet.nodes)


def test_leaders_that_are_killed_are_followed(
    fleet: RedisFleet, request: pytest.FixtureRequest, measured: Callable[[str], None]
) -> None:
    measured(f"on Redis, {kill_leaders(fleet, int(request.config.getoption('--kills')))}")


def test_a_leader_that_was_frozen_sends_nothing_once_another_leads(
    fleet: RedisFleet, measured: Callable[[str], None]
) -> None:
    measured(f"on Redis, {freeze_leader(fleet)}")


def test_a_stop_hands_over_and_the_row_is_told_as_on_rabbitmq(fleet: RedisFleet) -> None:
    leader, before = fleet.leader(), len(fleet.runs())
    told = schedule_of(leader)
    assert told is not None
    assert (told["queue"], told["source"], told["count"]) == (LEASE, "entries:ENTRIES", 1)
    assert leader.run("schedule", "magic").stdout.startswith(
        "magic: schedule entries:ENTRIES, sent by this node: 1 ent"
    )
    assert leader.stop() == 0
    fleet.wait_for_more(3)
    assert fleet.leader() is not leader
    assert fleet.twice() == []
    assert fleet.longest_gap(before) < TAKE_OVER
    said = [node.run("status", "magic").stdout for node in fleet.nodes if node not in (leader, *fleet.leading())]
    assert ["sent by another node" in each for each in said] == [True]


def test_a_redis_that_loses_all_repeats_no_tick(fleet: RedisFleet) -> None:
    for _ in range(3):
        fleet.leader()
        fleet.server.stop()
        fleet.server.start()
        fleet.wait_for_more(3)
        assert len(fleet.leading()) == 1  # the same node, unless it was kept from its CPU for 5 s; see test_lock
    assert fleet.twice() == []
