"""The time limits that task classes, and the settings of their app, ask for."""

from collections.abc import Iterable, Mapping
from typing import Any

import celery

_LIMITS = ("time_limit", "soft_time_limit")


def time_limits(conf: Mapping[str, Any], tasks: Iterable[type[celery.Task]]) -> tuple[str, ...]:
    """Return each limit that is asked for, with where it stands: "Resize.time_limit is 60"."""
    of_settings = [(f"task_{name}", conf[f"task_{name}"]) for name in _LIMITS]
    of_classes = [(f"{task.__qualname__}.{name}", getattr(task, name, None)) for task in tasks for name in _LIMITS]
    return tuple(f"{name} is {value!r}" for name, value in (*of_settings, *of_classes) if value)
