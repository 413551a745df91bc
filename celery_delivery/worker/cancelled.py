"""What runs when its connection is lost: a pool that can ends it. Nobody is told: it is no failure, and is delivered again.

Threads and solo can't end a task. Stock Celery 5.7 says that it does, and logs a traceback for each one; before it, the
worker ends.
"""

from collections.abc import Iterator
from functools import partial
from typing import Any

from celery.utils.log import get_logger
from celery.worker import state
from celery.worker.consumer import consumer as stock

GOES_ON = "%s goes on, though its connection is lost, and is known when it is delivered again"

_log = get_logger(__name__)


def end_all(pool: Any) -> None:
    """End what runs, without the retry that stock Celery tells of."""
    for request in _unacked():
        _log.warning("%s ends with the connection, and will be delivered again", request)
        request._announce_cancelled = partial(_note, request)
        request.cancel(pool)


def leave_all() -> None:
    """Have what runs go on, though stock Celery asks for its end, and say so: `redeliveries` knows it when it comes again."""
    stock.TERMINATING_TASK_ON_RESTART_AFTER_A_CONNECTION_LOSS = GOES_ON
    for request in _unacked():
        request.cancel = _leave


def _unacked() -> Iterator[Any]:
    return (each for each in tuple(state.active_requests) if each.task.acks_late and not each.acknowledged)


def _note(request: Any, **_of_newer_releases: bool) -> None:
    state.task_ready(request)
    request.send_event("task-cancelled")
    request._already_cancelled = True


def _leave(_pool: Any) -> None:
    pass
