"""Which of Celery's own tasks an app has: a worker runs what its instance names, and what workflows of that need.

Each app of Celery has nine tasks of Celery's, and whoever may send to a queue may have its worker run them:

    task                                    here
    --------------------------------------  ----------------------------------------------------------------------
    celery.map, celery.starmap              run, of the app's own tasks only
    celery.accumulate                       runs: it returns its arguments, for a task that is replaced by a group
    celery.chord_unlock                     runs where the store of results needs it for chords, for a bounded time:
                                            in stock Celery it asks every second for a chord that may never have been
    celery.backend_cleanup                  none; it deletes what has expired in a store
    celery.chain, .chord, .chunks, .group   none; no Celery since 4.0 sends them
"""

from collections.abc import Callable, Mapping
from datetime import timedelta
from functools import wraps
from math import ceil
from typing import Any

import celery
from celery.exceptions import Reject
from celery.utils.time import maybe_timedelta

from celery_delivery.errors import WorkflowError

UNUSED = tuple(f"celery.{name}" for name in ("backend_cleanup", "chain", "chord", "chunks", "group"))
MAPS = ("celery.map", "celery.starmap")
UNLOCK = "celery.chord_unlock"
LONGEST_CHORD = timedelta(days=1)  # to ask for a chord in, if results are not kept for longer


def restrict(app: celery.Celery) -> None:
    """Leave an app those of Celery's tasks that workflows need, and bound them."""
    for name in UNUSED:
        app.tasks.pop(name, None)
    for name in MAPS:
        app.tasks[name].run = _of_own(app, app.tasks[name].run)
    app.tasks[UNLOCK].run = _bounded(app, app.tasks[UNLOCK], app.tasks[UNLOCK].run)


def _of_own(app: celery.Celery, run: Callable[..., Any]) -> Callable[..., Any]:
    """Return what runs a task of the app for each of several arguments, and no workflow or task of Celery's."""

    @wraps(run)
    def call(task: Any, it: Any) -> Any:
        name = task.get("task") if isinstance(task, Mapping) and not task.get("subtask_type") else None
        if not isinstance(name, str) or name.startswith("celery.") or name not in app.tasks:
            raise Reject(f"it is to run {name!r}, which is not one of this worker's tasks")
        return run(task, it)

    return call


def _bounded(app: celery.Celery, task: celery.Task, run: Callable[..., Any]) -> Callable[..., Any]:
    """Return what asks whether the tasks of a chord have ended; not more often than the settings say, nor for ever."""

    @wraps(run)
    def call(group_id: Any, callback: Any, interval: Any = None, max_retries: Any = None, **options: Any) -> Any:
        if not _asks_for_chords(app.backend):
            raise Reject("no chord needs it where this worker's results go")
        shortest = max(1.0, task.default_retry_delay)  # delays are whole seconds
        pause = max(shortest, interval) if isinstance(interval, int | float) else shortest
        kept = maybe_timedelta(app.conf.result_expires) or timedelta()
        most = ceil(max(LONGEST_CHORD, kept).total_seconds() / pause)
        tries = most if max_retries is None else min(most, max_retries)
        return run(group_id, callback, interval=pause, max_retries=tries, **options)

    return call


def _asks_for_chords(backend: Any) -> bool:
    """Say whether chords need to be asked for; other stores count the tasks that have ended, or have no chords."""
    try:
        backend.ensure_chords_allowed()
    except (NotImplementedError, WorkflowError):
        return False
    return not getattr(backend, "implements_incr", False)
