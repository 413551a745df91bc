"""Dead letters on a real broker: making some, counting them, and the desk that they are asked for at."""

from __future__ import annotations

import json
import subprocess
import sys
import uuid
from collections.abc import Iterable
from typing import Any

import amqp

from agent.errors import OK
from celery_delivery.topology.queues import declare as declare_topology
from celery_delivery.topology.queues import topology
from tests.node import Node
from tests.waiting import wait_until


def declare(node: Node, *queues: str) -> None:
    with node.broker.connect(node.vhost) as connection:
        channel = connection.channel()
        declare_topology(topology(queues), channel)
        channel.queue_declare(queues[-1], passive=True)


def task(name: str = "alpha", *args: object, id: str = "", **kwargs: object) -> amqp.Message:  # noqa: A002
    id = id or str(uuid.uuid4())  # noqa: A001
    headers = {"lang": "py", "task": name, "id": id, "root_id": id, "retries": 0, "argsrepr": repr(args)}
    body = json.dumps([args, kwargs, {"callbacks": None, "errbacks": None, "chain": None, "chord": None}])
    properties = {"content_type": "application/json", "content_encoding": "utf-8", "correlation_id": id}
    return amqp.Message(body, application_headers=headers, delivery_mode=2, **properties)


def publish(node: Node, queue: str, *messages: amqp.Message) -> None:
    with node.broker.connect(node.vhost) as connection:
        channel = connection.channel()
        channel.confirm_select()
        for message in messages:
            channel.basic_publish_confirm(message, queue, queue)


def bury(node: Node, queue: str, messages: Iterable[amqp.Message]) -> None:
    """Have messages rejected by a consumer of a queue."""
    declare(node, queue)
    before = waiting(node, f"{queue}.dead")
    count = 0
    with node.broker.connect(node.vhost) as connection:
        channel = connection.channel()
        for message in messages:
            channel.basic_publish(message, queue, queue)
            count += 1
    reject(node, queue, count)
    wait_until(lambda: waiting(node, f"{queue}.dead") == before + count, 60, "the broker has moved them")


def reject(node: Node, queue: str, count: int) -> None:
    with node.broker.connect(node.vhost) as connection:
        channel = connection.channel()
        for _ in range(count):
            channel.basic_reject(wait_until(lambda: channel.basic_get(queue)).delivery_tag, requeue=False)


def waiting(node: Node, queue: str) -> int:
    return node.broker.messages(queue, node.vhost)


def wait_until_grown(node: Node, queue: str, count: int, by: subprocess.Popen[str]) -> None:
    """Return when a queue has so many, or who fills it has ended."""
    wait_until(lambda: waiting(node, queue) >= count or by.poll() is not None, 60, f"{queue} has {count}")


def ids_in(node: Node, queue: str) -> list[str]:
    """Return the ids in a queue, and leave the messages there."""
    with node.broker.connect(node.vhost) as connection:
        channel = connection.channel()
        found = []
        while (message := channel.basic_get(queue)) is not None:
            found.append(str(message.headers["id"]))
    return found


def desk(node: Node, *arguments: str) -> dict[str, Any]:
    done = node.run("dead-letters", "magic", *arguments, "--json")
    assert done.returncode == OK, done.stderr
    value: dict[str, Any] = json.loads(done.stdout)
    assert (value.pop("schema"), value.pop("instance")) == (1, "magic")
    return value


def started_desk(node: Node, *arguments: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "agent", "dead-letters", "magic", *arguments]
    pipe = subprocess.PIPE
    return subprocess.Popen(command, env=node.environment(), stdout=pipe, stderr=pipe, text=True)


def letters(node: Node, *arguments: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = desk(node, *arguments)["letters"]
    return found
