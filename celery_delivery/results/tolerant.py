"""A task has ended as it has, though its result can't be stored.

fault of any stock backend                                    seen as                                  mend
------------------------------------------------------------  ---------------------------------------  ----------------
a task that is done counts as failed where its result can't   Redis restarted: each task that ended    Tolerant
be stored                                                     meanwhile "failed", and was acked
a task of a chord that can't be counted counts as failed       the same, and it is told twice          Store
that a task is tried again is told after the next try was     a caller waits for ever for the last     Store
sent, and takes the place of its end                          try, which has failed
each result is tried as often as the first, though the store  a task per slot in 5 s, in minutes       Store
is known to be away                                           where nothing answers
a folder is looked at once, for good, and a table made, when  no task is sent while the store is away, Store
a backend is made                                             or results are lost until a restart
a store whose library is missing, or that refuses its         each task "fails", gets past the tracer  Missing
settings, is asked for once more to tell of it                and stops its queue
"""

import time
from functools import partial
from typing import Any, NoReturn

from celery import Celery
from celery.backends.base import DisabledBackend
from celery.states import READY_STATES, RETRY
from celery.utils.log import get_logger
from kombu.exceptions import EncodeError

from celery_delivery import internals, mending
from celery_delivery.results.exceptions import Faithful
from celery_delivery.results.losses import losses, reason_of
from celery_delivery.results.sequels import Sequels
from celery_delivery.sending.following import counting

_log = get_logger(__name__)


class Tolerant(Faithful):
    """Goes before a backend among the bases of a class: a task has ended as it has, though its result can't be stored.

    The result is lost then, and the log says so, unless the task's message is delivered again to this process. To run the
    task again would not be better: it has had its effect.
    """

    @mending.where(internals.client.TOLERANT)
    def store_result(self, task_id: str, result: Any, state: str, *args: Any, **kwargs: Any) -> Any:
        """Store a result or another state; raises EncodeError for what can't be stored anywhere, a fault of the task."""
        begun = time.monotonic()
        try:
            stored = super().store_result(task_id, result, state, *args, **kwargs)
        except EncodeError:
            raise
        except Exception as error:
            reason = reason_of(error)
            losses.note(reason, time.monotonic() - begun)
            _log.error("%s of task %s could not be stored, and is lost: %s", state, task_id, reason)
            if state in READY_STATES:
                losses.keep(task_id, partial(self.store_result, task_id, result, state, *args, **kwargs))
            return result
        losses.note("", 0.0)
        return stored


class Store(Tolerant):
    """Goes before the backend of a store that is no broker: one that is away is not waited for more than once."""

    @mending.where(internals.client.TOLERANT)
    def _ensure_retryable(self, *args: Any, max_retries: int | None = None, **kwargs: Any) -> Any:
        return super()._ensure_retryable(*args, max_retries=0 if losses.reason else max_retries, **kwargs)

    @mending.where(internals.client.TOLERANT)
    def _store_result(self, task_id: str, result: Any, state: str, *args: Any, **kwargs: Any) -> Any:
        losses.check()
        if state == RETRY and self._is_over(task_id, kwargs.get("request")):
            return result
        return super()._store_result(task_id, result, state, *args, **kwargs)

    def _is_over(self, task_id: str, request: Any) -> bool:
        """Say whether the next try has ended, or may end right now: a retry is sent before it is told."""
        return getattr(request, "is_tried_at_once", False) or self._get_task_meta_for(task_id)["status"] in READY_STATES

    @mending.where(internals.client.TOLERANT)
    def on_chord_part_return(self, request: Any, state: str, result: Any, **kwargs: Any) -> None:
        """Count a task that has ended in its chord, whose body is sent with the last one."""
        try:
            with counting():
                super().on_chord_part_return(request, state, result, **kwargs)
        except Exception as error:
            text = "Task %s could not be counted, so that its chord's body is not sent: %s"
            _log.error(text, request.id, reason_of(error))

    def _do_directory_test(self, _key: bytes) -> None:
        """Leave it to the first result to find out whether its folder is there."""


class Lost(DisabledBackend):
    """Stands for a store that there is no way to; raises the reason whenever it is asked for something."""

    def __init__(self, app: Celery, reason: Exception) -> None:
        super().__init__(app=app)
        self._reason = reason

    def store_result(self, *_args: Any, **_kwargs: Any) -> NoReturn:
        """Raise the reason."""
        raise self._reason

    get_state = get_status = get_result = get_traceback = get_task_meta_for = wait_for = get_many = store_result


class Missing(Tolerant, Sequels, Lost):
    """Loses what is to be stored, with a line in the log; whoever asks for a result is told why there is none."""
