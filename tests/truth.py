"""Whether what the status of an instance says is so: asked beside the broker, and with a task.

A queue that is said to be consumed from has a consumer, and runs what it is given as long as it has a place for a task.
"""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TypeVar

import amqp

from agent.control import client
from agent.decide.status import QueueStatus, Status
from agent.errors import AgentError
from tests.node import NAMES, TASKS, Node
from tests.rabbitmq import Queue

AnyNode = TypeVar("AnyNode", bound=Node)

# Seconds until a status has to be true; a frozen link is noticed within 24 s, a hung worker within 15 s.
PATIENCE = 45.0
ANSWER = 1.0  # seconds in which a status counts as given


@contextmanager
def held_to_the_truth(node: AnyNode) -> Iterator[AnyNode]:
    """Give an instance, and end it; fail where its status is not true by then, or the agent has done something wrong itself."""
    try:
        yield node
        assert_true(node)
    finally:
        node.close()
    faults = [line for line in node.log.read_text().splitlines() if "agent-fault" in line] if node.log.exists() else []
    assert faults == [], "the agent did something wrong itself"


def assert_well(node: Node) -> None:
    """Fail where status or check have anything against a running instance, or are wrong to have nothing."""
    strict, checked = node.run("status", node.instance, "--strict"), node.run("check", node.instance)
    assert strict.returncode == 0, strict.stdout
    assert checked.returncode == 0, checked.stdout
    assert "ok    running   consuming from " in checked.stdout
    assert_true(node)


def assert_true(node: Node) -> None:
    """Fail where a running instance says of a queue what is not so, and goes on saying it."""
    before = _status(node)
    if before is None or before.embedded:
        return
    given = {each.queue for each in before.queues if _has_a_place(each) and _give(node, each)}
    deadline = time.monotonic() + PATIENCE
    while lie := _lie(node, before, given):
        assert time.monotonic() < deadline, lie
        time.sleep(0.02)


def _lie(node: Node, before: Status, given: set[str]) -> str:
    """Return what is not so, in one line; empty where nothing is found.

    given: the queues that have been given a task after the status `before`.
    """
    status = _status(node)
    if status is None:
        return ""
    queues = [each for each in status.queues if each.wanted]
    found = _asked(node, [each.queue for each in queues])
    accounts = {each.queue: _account(each) for each in before.queues}
    for queue in queues:
        name, consumers, messages = queue.queue, found[queue.queue].consumers, found[queue.queue].messages
        if queue.consuming and not consumers:
            return f"The status says that {name} is consumed from, and the broker that it has no consumer."
        if queue.state == "connecting" and not queue.obstacle and consumers:
            return f"The status says that {name} waits for the broker, and the broker that it has a consumer."
        is_still = _has_a_place(queue) and _account(queue) == accounts.get(name)
        if is_still and (name in given or messages):
            return f"The status says that {name} is consumed from, but a task waits, and none is run."
    return ""


def _status(node: Node) -> Status | None:
    """Return what the instance says; None where it does not run, or gives no answer."""
    if node.process is None or node.process.poll() is not None:
        return None
    try:
        return client.status(node.runtime / node.instance, ANSWER)
    except AgentError:
        return None


def _has_a_place(queue: QueueStatus) -> bool:
    return queue.wanted and queue.consuming and queue.active_count < queue.concurrency


def _account(queue: QueueStatus) -> tuple[object, ...]:
    """Return what changes when a task is run."""
    return queue.pid, queue.succeeded, queue.failed, queue.retried, tuple(task.id for task in queue.active)


def _asked(node: Node, names: list[str]) -> dict[str, Queue]:
    """Return what the broker says of queues; one that can't be asked about has no consumers."""
    found = dict.fromkeys(names, Queue(0, 0))
    try:
        with node.broker.connect(node.vhost) as connection:
            for name in names:
                said = connection.channel().queue_declare(name, passive=True)
                found[name] = Queue(said.message_count, said.consumer_count)
    except (OSError, amqp.exceptions.AMQPError):
        pass
    return found


def _give(node: Node, queue: QueueStatus) -> bool:
    """Send a task that returns at once, where the queue's class is known to have one; say whether it was sent."""
    module, _, name = "".join(queue.tasks[:1]).partition(":")  # of an app, a queue may have none that is known
    before, is_ours, after = (node.code / "greek.py").read_text().partition(TASKS)
    if not is_ours or module != "greek" or name.lower() not in NAMES or name in before + after:
        return False
    message = amqp.Message(
        json.dumps([["return", None], {}, {}]),
        content_type="application/json",
        content_encoding="utf-8",
        application_headers={"lang": "py", "task": name.lower(), "id": str(uuid.uuid4())},
    )
    try:
        with node.broker.connect(node.vhost) as connection:
            connection.channel().basic_publish(message, routing_key=queue.queue)
    except (OSError, amqp.exceptions.AMQPError):
        return False
    return True
