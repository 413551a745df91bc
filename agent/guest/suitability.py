"""What the tasks of a queue ask for that its pool can't give: told by `agent check`, and by each worker as it starts."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

PREFORK = "prefork"


def unsuited(pool: str, limits: Iterable[str], threads: str) -> Iterator[str]:
    """Yield what a pool can't do for its tasks, each as one line with what to do.

    limits: the time limits that classes and settings ask for. threads: those that importing the tasks starts, "" for none.
    """
    if pool != PREFORK:
        for limit in limits:
            yield f"{limit}, and nothing enforces it with POOL={pool}: the task runs on. Use POOL=prefork."
    elif threads:
        yield (
            f"importing its tasks starts threads ({threads}), and the processes that run them have none of those: a fork "
            "copies no threads. Start them at Celery's signal worker_process_init, or use POOL=threads or solo."
        )
