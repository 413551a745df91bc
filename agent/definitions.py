"""What an operator declares on a broker as RabbitMQ's definitions: JSON that `rabbitmqctl import_definitions` takes."""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from agent.topology import NOTHING, Binding, Declared, Permission, Queue, pattern

HASHING = "rabbit_password_hashing_sha256"
SALT = 4  # bytes, as RabbitMQ has it

# Quorum queues get their leader where they are declared: by an import all on one node of a cluster.
LEADERS = {"queue-leader-locator": "balanced"}


def definitions(
    instances: Sequence[Declared], allowed: Sequence[Permission], passwords: Mapping[str, str]
) -> dict[str, Any]:
    """Return what `rabbitmqctl import_definitions` takes; the same for the same arguments.

    passwords: by user. Who has none is left out of the users: an import without a password would take his away.
    """
    vhosts = sorted({instance.vhost for instance in instances})
    return {
        "vhosts": [{"name": vhost} for vhost in vhosts],
        "users": [_user(name, passwords[name]) for name in sorted(passwords)],
        "permissions": [_permission(each) for each in allowed],
        # The rights above keep everyone from topic exchanges; should one be widened, this still does.
        "topic_permissions": [
            {"user": each.user, "vhost": each.vhost, "exchange": "amq.topic", "write": NOTHING, "read": NOTHING}
            for each in allowed
        ],
        "policies": list(
            _once(_policy(each, queue) for each in instances for queue in each.queues if queue.dead_letters)
        ),
        "queues": list(_once(_queue(each, queue) for each in instances for queue in each.queues)),
        "exchanges": list(_once(_exchange(each, name) for each in instances for name in each.exchanges)),
        "bindings": list(_once(_binding(each, binding) for each in instances for binding in each.bindings)),
    }


def password_hash(user: str, password: str) -> str:
    """Return a password as RabbitMQ keeps it: a salt, and SHA-256 of salt and password.

    The salt follows from both, so that the same definitions are printed each time.
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


def _permission(each: Permission) -> dict[str, Any]:
    patterns = {"configure": each.configure, "write": each.write, "read": each.read}
    return {"user": each.user, "vhost": each.vhost, **patterns}


def _policy(instance: Declared, queue: Queue) -> dict[str, Any]:
    return {
        "vhost": instance.vhost,
        "name": queue.name,
        "pattern": pattern({re.escape(queue.name), re.escape(queue.dead_letters)}),
        "apply-to": "queues",
        "definition": LEADERS,
        "priority": 0,
    }


def _queue(instance: Declared, queue: Queue) -> dict[str, Any]:
    kind = {"durable": True, "auto_delete": False, "arguments": dict(queue.arguments)}
    return {"name": queue.name, "vhost": instance.vhost, **kind}


def _exchange(instance: Declared, name: str) -> dict[str, Any]:
    kind = {"type": "direct", "durable": True, "auto_delete": False, "arguments": {}}
    return {"name": name, "vhost": instance.vhost, **kind}


def _binding(instance: Declared, binding: Binding) -> dict[str, Any]:
    return {
        "source": binding.exchange,
        "vhost": instance.vhost,
        "destination": binding.queue,
        "destination_type": "queue",
        "routing_key": binding.routing_key,
        "arguments": {},
    }


def _once(values: Iterable[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    seen: list[dict[str, Any]] = []
    for value in values:
        if value not in seen:
            seen.append(value)
            yield value
