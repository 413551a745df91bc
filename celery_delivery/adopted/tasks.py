"""How tasks of an app made by others are taken from its safe queues: acked late, given back where their process ends.

A task may come by a safe queue and by another, so it is not the task that says so. Each has a twin, which a worker takes for
what comes by a safe queue. What the project says itself wins, of all tasks or of one.
"""

from typing import Any

import celery

from celery_delivery.worker.pool import TIME_LIMIT

MARK = "celery-tasks-kept"  # header, from a worker to its pool: the task came by a safe queue


class Unsaid(int):
    """A setting of Celery's, true or false, of which the project has said nothing."""


# What each is in stock Celery, and where it came by a safe queue.
ACKS = {
    "acks_late": (Unsaid(False), True),
    "reject_on_worker_lost": (Unsaid(False), True),
    "acks_on_timeout": (Unsaid(True), False),
}
BOTH = "acks_on_failure_or_timeout"  # Celery's former name for two settings


def twin(task: celery.Task, pool: Any) -> celery.Task:
    """Return what a task is where it came by a safe queue."""
    kept: Any = object.__new__(type(task))
    vars(kept).update(vars(task))
    for name, (_, needed) in ACKS.items():
        if isinstance(_own(task, name), Unsaid):
            setattr(kept, name, needed)
    if kept.acks_late and task.time_limit is None and not getattr(pool, "options", {}).get("timeout"):
        kept.time_limit = TIME_LIMIT
    kept.is_kept = True
    return kept


def settle(task: celery.Task) -> None:
    """Have Celery's former name for two settings count as it does without us."""
    if isinstance(_own(task, "acks_on_timeout"), Unsaid) and getattr(task, BOTH, None) is False:
        task.acks_on_timeout = False


def said_otherwise(task: celery.Task) -> list[str]:
    """Return what the project says of a task by which less is promised, each as `name=value`."""
    return [
        f"{name}={own!r}"
        for name, (_, needed) in ACKS.items()
        if not isinstance(own := _own(task, name), Unsaid) and bool(own) is not needed
    ]


def _own(task: celery.Task, name: str) -> Any:
    return getattr(task, name, ACKS[name][0])  # before Celery 5.7 tasks have no `acks_on_timeout`
