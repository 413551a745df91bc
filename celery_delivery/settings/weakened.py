"""What a project's own settings, or a task class, take away from the promise of the profile `safe`."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import celery

from celery_delivery.settings import safe
from celery_delivery.settings.profile import is_safe

# What each must be, and what is lost where it is not. A task class may say the same without "task_", see CHOSEN.
NEEDED = {
    "task_acks_late": (safe.task_acks_late, "a worker that is killed loses what it was running"),
    "task_reject_on_worker_lost": (
        safe.task_reject_on_worker_lost,
        "a task whose process is killed counts as failed, and is not run again",
    ),
    "task_acks_on_timeout": (
        safe.task_acks_on_timeout,
        "a task that is killed by its time limit has failed, and is not run again",
    ),
    "task_always_eager": (False, "tasks are not sent at all: who calls them runs them"),
}
CHOSEN = {"task_acks_on_timeout"}  # what a class may say of its own tasks: docs/delivery.md offers it
# What a task class says that Celery takes well, and what comes of it.
UNWISE: dict[str, tuple[Callable[[Any], bool], str]] = {
    "autoretry_for": (
        lambda kinds: any(not issubclass(kind, Exception) for kind in kinds),
        "what tells its worker to stop is taken for an error, and the task is retried; Exception is all that a task raises",
    ),
    "rate_limit": (
        bool,
        "what is over it waits in the worker; past the broker's consumer_timeout it is delivered again, six times at most",
    ),
    "serializer": (
        lambda name: name not in {None, "json"},
        "only JSON is accepted: each of its tasks is a dead letter",
    ),
    "typing": (lambda checks: not checks, "wrong arguments are sent, and become failures of the task"),
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
        for task in () if name in CHOSEN else classes:
            value = getattr(task, attribute, None)
            if value is not None and bool(value) is not needed:
                said.append(f"{task.__qualname__}.{attribute} is {value!r}, and safe needs {needed}: {loss}")
    for name, (is_unwise, loss) in UNWISE.items():
        for task in classes:
            value = getattr(task, name, None)
            if value is not None and is_unwise(value):
                said.append(f"{task.__qualname__}.{name} is {value!r}: {loss}")
    return tuple(said)
