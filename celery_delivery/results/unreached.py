"""Whoever waits for a group whose tasks are never sent, because a step before them has failed, is told so.

Stock Celery tells it to those who wait for the steps of a chain, but not of a group that is one of them: `.get()` hangs
(celery #4004).
"""

from collections.abc import Iterable, Iterator
from copy import copy
from typing import Any

from celery.backends.base import Backend

from celery_delivery import internals, mending


class Unreached(Backend):
    """Goes before a backend among the bases of a class: what has failed is told of the tasks of a group, too."""

    @mending.where(internals.client.UNREACHED)
    def _fail_chain(self, chain: Any, *args: Any, **options: Any) -> None:
        super()._fail_chain(list(_tasks(chain)) if isinstance(chain, list) else chain, *args, **options)

    @mending.where(internals.client.UNREACHED)
    def mark_as_failure(
        self, task_id: str, exc: Any, traceback: Any = None, request: Any = None, **options: Any
    ) -> Any:
        """Note a failure; before Celery 5.7 it is here that the rest of the chain is told."""
        chain = getattr(request, "chain", None)
        if not hasattr(Backend, "_fail_chain") and isinstance(chain, list):
            request = copy(request)
            request.chain = list(_tasks(chain))
        return super().mark_as_failure(task_id, exc, traceback, request, **options)


def _tasks(steps: Iterable[Any]) -> Iterator[Any]:
    """Return steps with the tasks of groups, and of chains in them, in their place."""
    for step in steps:
        if step.get("subtask_type") in {"group", "chain"}:
            yield from _tasks(step["kwargs"]["tasks"])
        else:
            yield step
