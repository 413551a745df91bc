"""Whoever waits for a group whose tasks are never sent, because a step before them has failed, is told so.

Stock Celery 5.7 tells it to those who wait for the steps of a chain, but not of a group that is one of them: `.get()` hangs
(celery #4004).
"""

from collections.abc import Iterable, Iterator
from typing import Any

from celery.backends.base import Backend

from celery_delivery import internals, mending


class Unreached(Backend):
    """Goes before a backend among the bases of a class: what has failed is told of the tasks of a group, too."""

    @mending.where(internals.client.UNREACHED)
    def _fail_chain(self, chain: Any, *args: Any, **options: Any) -> None:
        super()._fail_chain(list(_tasks(chain)) if isinstance(chain, list) else chain, *args, **options)


def _tasks(steps: Iterable[Any]) -> Iterator[Any]:
    """Return steps with the tasks of groups, and of chains in them, in their place."""
    for step in steps:
        if step.get("subtask_type") in {"group", "chain"}:
            yield from _tasks(step["kwargs"]["tasks"])
        else:
            yield step
