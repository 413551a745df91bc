"""The two kinds of apps that an instance hosts: those that our library makes for task classes, and a project's own."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from celery_delivery.adopted.queues import SafeQueue
from celery_delivery.apps import App

# The ends of names: of the queue that tasks wait in while they are moved to a safe one, and of its lock.
INTERIM = ".moving"
LOCK = ".lock"
NO_LETTERS = (
    "A project's own app has no dead letters that the agent knows of: what its worker rejects goes where its queue sends it. "
    "With make_safe it has; see docs/apps.md."
)


def of_contracts(apps: Mapping[str, Any]) -> dict[str, Any]:
    """Return those of task classes, by queue."""
    return {queue: app for queue, app in apps.items() if isinstance(app, App)}


def of_project(apps: Mapping[str, Any]) -> dict[str, Any]:
    """Return the project's own, by queue."""
    return {queue: app for queue, app in apps.items() if not isinstance(app, App)}


def name_at_broker(queue: str, app: Any) -> str:
    """Return what the broker calls a queue of an app: a safe one of a project's own has a name of its own there."""
    return queue if isinstance(app, App) else str(app.amqp.queues[queue].name)


def is_safe_queue(queue: str, app: Any) -> bool:
    """Say whether a queue of a project's own app is safe."""
    return isinstance(app.amqp.queues.get(queue), SafeQueue)


def by_broker_s_name(apps: Mapping[str, Any]) -> dict[str, Any]:
    """Return the apps of queues that have dead letters, by the broker's names of the queues."""
    return {
        name_at_broker(queue, app): app
        for queue, app in apps.items()
        if isinstance(app, App) or is_safe_queue(queue, app)
    }
