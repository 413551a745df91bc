"""A retry that can't be sent is no dead letter: its task has failed, or is delivered again where the broker may take it later.

Stock Celery 5.7 rejects the task's message whatever the reason is, be it a broker that is short of memory for a minute
(celery #9174).
"""

from functools import wraps
from typing import Any

import celery
from celery.exceptions import Reject
from kombu.exceptions import OperationalError

from celery_delivery import internals, mending
from celery_delivery.errors import Refused
from celery_delivery.sending.producer import Sending

# Seconds to send a retry in. Each delivery runs the task, and after six there is a dead letter: a broker that takes nothing has
# some minutes.
PATIENCE = 60.0


def keep_retries(task: celery.Task) -> None:
    """Have `task.retry` raise what becomes of a task whose retry can't be sent; once for each task of an app."""
    if mending.applies(internals.worker.RETRIES):
        task.retry = _retry(task, task.retry)


def _retry(task: celery.Task, stock: Any) -> Any:
    @wraps(stock)
    def retry(*args: Any, **options: Any) -> Any:
        patience = {"confirm_timeout": PATIENCE} if isinstance(task.app.amqp, Sending) else {}
        try:
            return stock(*args, **{**patience, **options})
        except Reject as error:
            reason = error.reason
        if isinstance(reason, OperationalError) and not isinstance(reason, Refused) and task.acks_late:
            raise Reject(reason, requeue=True)
        raise reason

    return retry
