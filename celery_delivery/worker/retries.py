"""What comes after a task, a retry or a chain's next step, and can't be sent: the task is delivered again, or has failed.

Where the broker may take it later it is delivered again.

fault of stock Celery 5.7                                     seen as                                  mend
------------------------------------------------------------  ---------------------------------------  ------------
a task whose retry can't be sent is rejected, whatever the    a dead letter, where the broker was      keep_retries
reason is (celery #9174)                                      short of memory for a minute
a task that is done counts as failed where a callback, or     a chain ends at the step during which    Following
the chain's next step, can't be sent                          the broker was away
"""

from collections.abc import Callable
from functools import wraps
from typing import Any

import celery
from celery import current_task
from celery.exceptions import Reject, Retry
from celery.utils.log import get_logger
from kombu.exceptions import OperationalError

from celery_delivery import internals, mending
from celery_delivery.errors import Refused
from celery_delivery.sending import following
from celery_delivery.sending.confirming import Confirming, Sending
from celery_delivery.sending.routing import passing_on

# Seconds to send a retry in. Each delivery runs the task, and after six there is a dead letter: a broker that takes nothing has
# some minutes.
PATIENCE = 60.0

_log = get_logger(__name__)


class Patient(Confirming):
    """Celery's `app.amqp` for apps whose tasks are delivered again where what follows them can't be sent."""

    def keeps(self, task: celery.Task) -> bool:
        """Say whether the task that is run can be delivered again."""
        return bool(task.acks_late)

    @mending.where(internals.worker.RETRIES)
    def _retry_publish(self, publish: Callable[..., Any], *args: Any, **options: Any) -> Any:
        try:
            return super()._retry_publish(publish, *args, **options)
        except OperationalError as error:
            _give_back(error)
            raise

    @mending.where(internals.worker.RETRIES)
    def _create_task_sender(self) -> Callable[..., Any]:
        return _giving_back(super()._create_task_sender())


def _giving_back(send: Callable[..., Any]) -> Callable[..., Any]:
    """Return what sends each task of an app, as Celery before 5.7 sends what follows one, too."""
    if following.IS_TOLD:
        return send

    @wraps(send)
    def call(*args: Any, **options: Any) -> Any:
        try:
            return send(*args, **options)
        except OperationalError as error:
            if following.is_following():
                try:
                    _give_back(error)
                except Reject as rejection:
                    raise following.Unsent(rejection) from error
            raise

    return call


def _give_back(error: OperationalError) -> None:
    """Raise Reject where the task that has ended is to run again, because what follows it could not be sent."""
    task = current_task
    if task and _may_come_later(error, task) and not task.request.is_eager:
        text = "Task %s[%s] is done, and given back, to run again: what follows it could not be sent: %s"
        _log.error(text, task.name, task.request.id, error)
        raise Reject(error, requeue=True) from error


class Following(Patient, Sending):
    """The same, for apps of contracts."""


def keep_retries(task: celery.Task) -> None:
    """Have `task.retry` raise what becomes of a task whose retry can't be sent; once for each task of an app."""
    if mending.applies(internals.worker.RETRIES):
        task.retry = _retry(task, task.retry)


def _retry(task: celery.Task, stock: Any) -> Any:
    @wraps(stock)
    def retry(*args: Any, **options: Any) -> Any:
        patience = {"confirm_timeout": PATIENCE} if isinstance(task.app.amqp, Confirming) else {}
        try:
            with passing_on():  # the rest of its chain
                return stock(*args, **{**patience, **options})
        except Retry as due:
            task.request.is_tried_at_once = not due.when
            raise
        except Reject as error:
            reason = error.reason
        if _may_come_later(reason, task):
            raise Reject(reason, requeue=True)
        raise reason

    return retry


def _may_come_later(reason: Any, task: celery.Task) -> bool:
    """Say whether the broker may take later what it has not taken, and whether the task can be delivered again."""
    if not isinstance(reason, OperationalError) or isinstance(reason, Refused):
        return False
    amqp = task.app.amqp
    return amqp.keeps(task) if isinstance(amqp, Patient) else bool(task.acks_late)
