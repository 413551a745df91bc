"""What a worker of an app with safe queues does before it starts: it makes its tasks ready, and tells what is not promised."""

import logging
from collections.abc import Iterable
from importlib import import_module
from typing import Any

import celery

from celery_delivery import internals, mending
from celery_delivery.adopted.amqp import Adopted
from celery_delivery.adopted.queues import SafeQueue, unfit
from celery_delivery.adopted.tasks import said_otherwise, settle
from celery_delivery.worker.retries import keep_retries

_log = logging.getLogger(__name__)


def prepare(app: celery.Celery) -> None:
    """Make an app's tasks ready for a worker; raises SettingError as `adopted` does."""
    if not isinstance(app.amqp, Adopted):
        return
    for task in app.tasks.values():
        settle(task)
        keep_retries(task)
        if mending.applies(internals.worker.CERTAIN):
            requests: Any = import_module("celery_delivery.worker.requests")
            task.Request = requests.certain(task.Request)
    for text in losses(app, app.tasks if app.safe_queues.queues is None else ()):
        _log.warning("Less is promised than make_safe does: %s", text)


def losses(app: celery.Celery, tasks: Iterable[str]) -> list[str]:
    """Return what is promised less than by `make_safe`, each as one line; nothing for an app without it.

    tasks: the names of those that come by safe queues.
    """
    if not isinstance(app.amqp, Adopted):
        return []
    said = [f"task {name} has {', '.join(own)}" for name in sorted(tasks) if (own := said_otherwise(app.tasks[name]))]
    queues = app.amqp.queues
    for name, queue in sorted(queues.items()):
        if not isinstance(queue, SafeQueue) and queues.wanted.has(name):
            said.append(f"queue {queue.alias or name!r} {unfit(queue, queues.default_exchange)}, and stays as it is")
    return said
