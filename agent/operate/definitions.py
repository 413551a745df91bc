"""RabbitMQ's definitions of what an operator declares on a broker: JSON for `rabbitmqctl import_definitions`."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from agent.operate.rights import (
    NOTHING,
    Binding,
    Declared,
    Exchange,
    Needs,
    Permission,
    Queue,
    TopicPermission,
    pattern,
)

HASHING = "rabbit_password_hashing_sha256"
SALT = 4  # bytes, as RabbitMQ has it

# The leader of a quorum queue is on the node that declares it: with an import, all would be on one node of a cluster.
LEADERS = {"queue-leader-locator": "balanced"}


def definitions(
    needs: Sequence[Needs],
    allowed: Sequence[Permission],
    topics: Sequence[TopicPermission],
    passwords: Mapping[str, str],
) -> dict[str, Any]:
    """Return what `rabbitmqctl import_definitions` takes; the same for the same arguments.

    passwords: by user. A user without one is left out: the import would remove the password that this user has.
    """
    instances = [each.declared for each in needs if each.declared is not None]
    return {
        "vhosts": [{"name": vhost} for vhost in sorted({each.vhost for each in allowed})],
        "users": [_user(name, passwords[name]) for name in sorted(passwords)],
        "permissions": [asdict(each) for each in allowed],
        "topic_permissions": [{**asdict(each), "read": NOTHING} for each in topics],
        "policies": _once(policy for each in instances for policy in _policies(each)),
        "queues": _once(_queue(each, queue) for each in instances for queue in each.queues),
        "exchanges": _once(_exchange(each, exchange) for each in instances for exchange in each.exchanges),
        "bindings": _once(_binding(each, binding) for each in instances for binding in each.bindings),
    }


def password_hash(user: str, password: str) -> str:
    """Return a password as RabbitMQ keeps it: a salt, and SHA-256 of salt and password.

    The salt is made from both, so that the same definitions are printed each time.
    """
    salt = hmac.digest(password.encode(), user.encode(), "sha256")[:SALT]
    return base64.b64encode(salt + hashlib.sha256(salt + password.encode()).digest()).decode()


def _user(name: str, password: str) -> dict[str, Any]:
    return {
        "name": name,
        "password_hash": password_hash(name, password),
        "hashing_algorithm": HASHING,
        "tags": [],
        "limits": {},
    }


def _policies(instance: Declared) -> Iterator[dict[str, Any]]:
    """Yield a policy for each task queue and its dead letters, by its name, and one for what all queues have in common."""
    for queue in instance.queues:
        if queue.purpose == "tasks":
            dead_letters = str(queue.arguments["x-dead-letter-routing-key"])
            yield _policy(instance.vhost, queue.name, (queue.name, dead_letters))
    yield _policy(instance.vhost, instance.delays, instance.names("delays"))


def _policy(vhost: str, name: str, queues: Iterable[str]) -> dict[str, Any]:
    names = pattern({re.escape(queue) for queue in queues})
    kind = {"apply-to": "queues", "definition": LEADERS, "priority": 0}
    return {"vhost": vhost, "name": name, "pattern": names, **kind}


def _queue(instance: Declared, queue: Queue) -> dict[str, Any]:
    kind = {"durable": True, "auto_delete": False, "arguments": dict(queue.arguments)}
    return {"name": queue.name, "vhost": instance.vhost, **kind}


def _exchange(instance: Declared, exchange: Exchange) -> dict[str, Any]:
    kind = {"type": exchange.kind, "durable": True, "auto_delete": False, "arguments": {}}
    return {"name": exchange.name, "vhost": instance.vhost, **kind}


def _binding(instance: Declared, binding: Binding) -> dict[str, Any]:
    return {
        "source": binding.source,
        "vhost": instance.vhost,
        "destination": binding.destination,
        "destination_type": binding.to,
        "routing_key": binding.routing_key,
        "arguments": {},
    }


def _once(values: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return values without repeats, in their order."""
    return list({json.dumps(value): value for value in values}.values())
