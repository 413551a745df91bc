"""The two kinds of apps that an instance hosts: those that our library makes for task classes, and a project's own."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from celery_delivery.apps import App

NO_LETTERS = (
    "A project's own app has no dead letters that the agent knows of: what its worker rejects goes where its queue sends it. "
    "See docs/apps.md."
)


def of_contracts(apps: Mapping[str, Any]) -> dict[str, Any]:
    """Return those of task classes, by queue."""
    return {queue: app for queue, app in apps.items() if isinstance(app, App)}


def of_project(apps: Mapping[str, Any]) -> dict[str, Any]:
    """Return the project's own, by queue."""
    return {queue: app for queue, app in apps.items() if not isinstance(app, App)}
