"""Periodic tasks of a fleet: one node sends them, another one takes over, and no tick is sent twice.

One fleet for all tests, since it takes long to start; each leaves it running.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest

from tests.integration.schedules import LEASE, TAKE_OVER, Fleet, freeze_leader, kill_leaders, schedule_of
from tests.rabbitmq import RabbitMQ
from tests.waiting import wait_until


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory, broker: RabbitMQ) -> Iterator[Fleet]:
    """Three nodes, of which one sends a tick each second."""
    vhost = f"test-{uuid.uuid4().hex[:12]}"
    broker.add_vhost(vhost)
    with ExitStack() as stack:
        stack.callback(broker.delete_vhost, vhost)
        fleet = Fleet(tmp_path_factory.mktemp("fleet"), broker, vhost, 3, stack)
        fleet.start()
        fleet.wait_for_more(2)
        yield fleet
        assert not any("agent-fault" in node.log.read_text() for node in fleet.nodes)


def test_leaders_that_are_killed_are_followed(
    fleet: Fleet, request: pytest.FixtureRequest, measured: Callable[[str], None]
) -> None:
    measured(kill_leaders(fleet, int(request.config.getoption("--kills"))))


def test_a_leader_that_was_frozen_sends_nothing_once_another_leads(
    fleet: Fleet, measured: Callable[[str], None]
) -> None:
    measured(freeze_leader(fleet))


def test_a_reload_that_replaces_the_leader_hands_over(fleet: Fleet) -> None:
    leader = fleet.leader()
    before, former = len(fleet.runs()), leader.pids()[LEASE]
    sent = leader.wait_for(LEASE, lambda queue: queue["succeeded"] > 0, "has counted what it sent")["succeeded"]
    with leader.env_file.open("a") as file:
        file.write("ANOTHER=1\n")
    assert leader.run("reload", "magic").returncode == 0
    wait_until(lambda: leader.pids()[LEASE] != former, 30, "another process")
    fleet.wait_for_more(3)
    assert len(fleet.leading()) == 1
    assert fleet.twice() == []
    assert fleet.longest_gap(before) < TAKE_OVER
    assert leader.queue(LEASE)["succeeded"] >= sent


def test_last_and_next_run_are_told_where_the_ticks_are_sent(fleet: Fleet) -> None:
    leader = fleet.leader()
    told = schedule_of(leader)
    assert told is not None
    assert (told["queue"], told["source"], told["count"]) == (LEASE, "entries:ENTRIES", 1)
    (entry,) = told["entries"]
    assert entry["next"] - entry["last"] == 1.0
    said = leader.run("schedule", "magic").stdout
    assert said.startswith("magic: schedule entries:ENTRIES, sent by this node: 1 entries\n\n  ENTRY  LAST RUN")
    other = next(node for node in fleet.nodes if node is not leader)
    other.wait_until_consuming()
    assert "sent by another node" in other.run("schedule", "magic").stdout
    assert "sent by another node" in other.run("status", "magic").stdout


def test_a_broker_that_restarts_repeats_no_tick(fleet: Fleet) -> None:
    broker = fleet.nodes[0].broker
    broker.settle()
    broker.kill()
    broker.start()
    fleet.wait_for_more(3)
    assert len(fleet.leading()) == 1
    assert fleet.twice() == []
