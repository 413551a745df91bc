"""What the tasks of a queue ask for that its pool can't give: told by `agent check`, and by each worker as it starts."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

PREFORK = "prefork"
UNKEPT = (
    "FAILED=keep has no effect: this queue has no dead-letter queue of ours. Take CELERY_TASKS_DELIVERY=safe for task classes, "
    "make_safe for an app on RabbitMQ; a Redis keeps no dead letters."
)


def unsuited(pool: str, limits: Iterable[str], threads: str, time_limit: float | None = None) -> Iterator[str]:
    """Yield what a pool can't do for its tasks, each as one line with what to do.

    limits: the time limits that classes and settings ask for. threads: those that importing the tasks starts, "" for none.
    time_limit: the queue's own. Where it has one, the agent ends a worker for a task that is beyond its limit.
    """
    if pool != PREFORK:
        for limit in limits:
            if time_limit is None or "soft_time_limit" in limit:
                yield f"{limit}, and nothing enforces it with POOL={pool}: the task runs on. Use POOL=prefork."
    elif threads:
        yield (
            f"importing its tasks starts threads ({threads}), and the processes that run them have none of those: a fork "
            "copies no threads. Start them at Celery's signal worker_process_init, or use POOL=threads or solo."
        )
