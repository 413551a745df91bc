"""A queue that is there already, of another kind than the worker declares: it is said, and waited for without a noise."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from datetime import datetime
from typing import Any

import pytest

from tests.node import Node
from tests.truth import assert_well
from tests.waiting import wait_until

Declare = Callable[[Any], object]
OTHER = pytest.mark.parametrize(
    ("queue", "argument", "declare"),
    [
        pytest.param(
            "alpha",
            "x-dead-letter-exchange",
            lambda channel: channel.queue_declare("alpha", durable=True, auto_delete=False),
            id="classic",
        ),
        pytest.param(
            "alpha.dead",
            "x-delivery-limit",
            lambda channel: channel.queue_declare(
                "alpha.dead",
                durable=True,
                auto_delete=False,
                arguments={"x-queue-type": "quorum", "x-delivery-limit": 7},
            ),
            id="other dead letters",
        ),
    ],
)


@OTHER
def test_a_queue_of_another_kind_is_told_by_check_status_and_log(
    node: Node, queue: str, argument: str, declare: Declare
) -> None:
    with node.broker.connect(node.vhost) as connection:
        declare(connection.channel())
    node.configure("alpha")
    checked = node.run("check", node.instance)
    assert checked.returncode == 1
    assert f"has a queue '{queue}' of another kind" in checked.stdout
    assert argument in checked.stdout
    node.start()
    seen = wait_until(lambda: obstacle(node), 60, "the worker says what holds it up")
    assert seen is not None
    assert argument in seen
    assert node.run("status", node.instance, "--strict").returncode == 1
    node.broker.control("delete_queue", "-p", node.vhost, queue)
    node.wait_until_consuming()
    assert obstacle(node) is None
    assert node.log.read_text().count("No tasks are run: the broker refuses") == 1
    assert_well(node)


def test_a_worker_whom_the_broker_does_not_let_in_says_so_and_waits(node: Node) -> None:
    vhost = f"{node.vhost}-later"
    node.variables["RABBITMQ_VHOST"] = vhost
    node.configure("alpha")
    node.start()
    seen = wait_until(lambda: obstacle(node), 60, "the worker says what holds it up")
    assert seen is not None
    assert f"vhost {vhost} not found" in seen
    assert node.run("status", node.instance, "--strict").returncode == 1
    node.broker.add_vhost(vhost)
    try:
        node.wait_until_consuming()
        assert obstacle(node) is None
        assert node.log.read_text().count("No tasks are run: the broker refuses") == 1
        assert "Frequent restarts" not in node.log.read_text()
        assert node.stop() == 0
    finally:
        node.broker.delete_vhost(vhost)


def test_a_worker_that_is_refused_waits_longer_and_longer(node: Node) -> None:
    with node.broker.connect(node.vhost) as connection:
        connection.channel().queue_declare("alpha", durable=True, auto_delete=False)
    node.configure("alpha", DEFAULTS__LOG_LEVEL="DEBUG")
    node.start()
    seen = wait_until(lambda: len(found := attempts(node)) >= 5 and found, 60, "it has tried five times")
    assert seen
    pauses = [(after - before).total_seconds() for before, after in itertools.pairwise(seen)]
    for pause, least in zip(pauses, (0.5, 1.0, 2.0, 4.0), strict=False):
        assert pause > 0.9 * least
    assert node.stop() == 0


def test_a_queue_of_the_other_profile_is_told(node: Node) -> None:
    node.send_and_leave("alpha", "return")
    node.variables["CELERY_TASKS_DELIVERY"] = "article"
    node.configure("alpha")
    checked = node.run("check", node.instance)
    assert checked.returncode == 1
    assert "has a queue 'alpha' of another kind, and refuses ours: PRECONDITION_FAILED" in checked.stdout


def test_check_declares_nothing(node: Node) -> None:
    node.configure("alpha")
    assert node.run("check", node.instance).returncode == 0
    assert node.broker.queue("alpha", node.vhost) is None


def obstacle(node: Node) -> str | None:
    queues = node.status().get("queues", [])
    return queues[0]["obstacle"] if queues else None


def attempts(node: Node) -> list[datetime]:
    """Return when the worker was refused, by its log at DEBUG, which has each time."""
    lines = [line for line in node.log.read_text().splitlines() if "Connection error: PreconditionFailed" in line]
    return [datetime.fromisoformat(line[1:24].replace(",", ".")) for line in lines]
