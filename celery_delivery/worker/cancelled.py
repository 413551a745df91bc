"""A task that is ended because its connection is lost: nobody is told, since it is no failure, and it is delivered again."""

from functools import partial
from typing import Any

from celery.worker import state


def end(request: Any, pool: Any) -> None:
    """End what a request runs, without the retry that stock Celery tells of."""
    request._announce_cancelled = partial(_note, request)
    request.cancel(pool)


def _note(request: Any, **_of_newer_releases: bool) -> None:
    state.task_ready(request)
    request.send_event("task-cancelled")
    request._already_cancelled = True
