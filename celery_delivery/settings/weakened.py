"""What a project's own settings, or a task class, take away from the promise of the profile `safe`."""

from collections.abc import Iterable, Mapping
from typing import Any

import celery

from celery_delivery.settings import safe
from celery_delivery.settings.profile import is_safe

# What each must be, and what is lost where it is not. A task class may say the same without "task_".
NEEDED = {
    "task_acks_late": (safe.task_acks_late, "a worker that is killed loses what it was running"),
    "task_reject_on_worker_lost": (
        safe.task_reject_on_worker_lost,
        "a task whose process is killed counts as failed, and is not run again",
    ),
    "task_acks_on_timeout": (safe.task_acks_on_timeout, "a task that is killed by its time limit is gone"),
    "task_always_eager": (False, "tasks are not sent at all: who calls them runs them"),
}


def weakened(conf: Mapping[str, Any], tasks: Iterable[type[celery.Task]] = ()) -> tuple[str, ...]:
    """Return what is no longer promised, each with its reason, for an app's settings and its task classes."""
    if not is_safe(conf):
        return ()
    classes = list(tasks)
    said = []
    for name, (needed, loss) in NEEDED.items():
        if bool(conf[name]) is not needed:
            said.append(f"{name} is {conf[name]!r}, and safe needs {needed}: {loss}")
        attribute = name.removeprefix("task_")
        for task in classes:
            value = getattr(task, attribute, None)
            if value is not None and bool(value) is not needed:
                said.append(f"{task.__qualname__}.{attribute} is {value!r}, and safe needs {needed}: {loss}")
    return tuple(said)
