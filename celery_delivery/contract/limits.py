"""The time limits that task classes, and the settings of their app, ask for, and that need a process to end.

Those of coroutines hold on every pool.
"""

from collections.abc import Iterable, Mapping
from typing import Any

import celery

from celery_delivery.contract.runs import is_coroutine_function

_LIMITS = ("time_limit", "soft_time_limit")


def time_limits(conf: Mapping[str, Any], tasks: Iterable[type[celery.Task]]) -> tuple[str, ...]:
    """Return each limit that is asked for of functions, with where it stands: "Resize.time_limit is 60"."""
    classes = list(tasks)
    functions = [task for task in classes if not is_coroutine_function(task.run)]
    if classes and not functions:
        return ()
    of_settings = [(f"task_{name}", conf[f"task_{name}"]) for name in _LIMITS]
    of_classes = [(f"{task.__qualname__}.{name}", getattr(task, name, None)) for task in functions for name in _LIMITS]
    return tuple(f"{name} is {value!r}" for name, value in (*of_settings, *of_classes) if value)
