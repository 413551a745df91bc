"""What is promised about a task, by name: the setting `delivery_profile`, and what it makes of an app's settings."""

from collections.abc import Mapping
from enum import StrEnum
from types import ModuleType
from typing import Any

from celery_delivery.errors import SettingError
from celery_delivery.settings import common, safe
from celery_delivery.topology.queues import declared_task_queue, task_queue


class Profile(StrEnum):
    """The profiles; an app without one has Celery's defaults, and nothing is promised."""

    SAFE = "safe"
    ARTICLE = "article"


def profile_of(conf: Mapping[str, Any]) -> Profile | None:
    """Return the profile among an app's settings, as a name or not at all; raises SettingError for a name that is none."""
    name = conf.get("delivery_profile")
    if name is None:
        return None
    try:
        return Profile(name)
    except ValueError:
        known = ", ".join(Profile)
        raise SettingError(f"delivery_profile is {name!r}, but must be one of: {known}") from None


def is_safe(conf: Mapping[str, Any]) -> bool:
    """Say whether an app's settings are those of the safe profile."""
    return profile_of(conf) is Profile.SAFE


def clients_declare(conf: Mapping[str, Any]) -> bool:
    """Say whether producers and consumers declare the queues they use; they do unless the settings say no."""
    return bool(conf.get("clients_declare", True))


def defaults(conf: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings that an app's profile adds behind its own."""
    return {**_settings(common), **(_settings(safe) if is_safe(conf) else {})}


def queue_settings(conf: Mapping[str, Any], queue: str) -> dict[str, Any]:
    """Return the settings that lead to one queue."""
    if not is_safe(conf):
        return {"task_default_queue": queue}
    declaration = task_queue(queue) if clients_declare(conf) else declared_task_queue(queue)
    return {
        "task_queues": [declaration],
        "task_default_queue": queue,
        "task_default_exchange": queue,
        "task_default_routing_key": queue,
        # Celery would make up a classic queue, without dead letters, for a name that is not among these.
        "task_create_missing_queues": False,
    }


def _settings(module: ModuleType) -> dict[str, Any]:
    """Return what a module of settings assigns; Celery's names are in lower case."""
    return {name: value for name, value in vars(module).items() if name[0].islower()}


def acks_on_timeout(task: Any) -> bool:
    """Say whether a task is acked that its hard time limit ends; Celery has the setting, and the attribute, since 5.7."""
    own = getattr(task, "acks_on_timeout", None)
    return bool(task.app.conf.get("task_acks_on_timeout") if own is None else own)
