"""A task has ended as it has, though its result can't be stored.

fault of any stock backend                                    seen as                                  mend
------------------------------------------------------------  ---------------------------------------  ----------------
a task that is done counts as failed where its result can't   Redis restarted: each task that ended    Tolerant
be stored                                                     meanwhile "failed", and was acked
a store whose library is missing, or that refuses its         each task "fails", gets past the tracer  Missing
settings, is asked for once more to tell of it                and stops its queue
"""

from typing import Any, NoReturn

from celery import Celery
from celery.backends.base import Backend, DisabledBackend
from celery.utils.log import get_logger
from kombu.exceptions import EncodeError

from celery_delivery import internals, mending

_log = get_logger(__name__)


class Tolerant(Backend):
    """Goes before a backend among the bases of a class: a task has ended as it has, though its result can't be stored.

    The result is lost then, and the log says so. To run the task again would not be better: it has had its effect.
    """

    @mending.where(internals.TOLERANT)
    def store_result(self, task_id: str, result: Any, state: str, *args: Any, **kwargs: Any) -> Any:
        """Store a result or another state; raises EncodeError for what can't be stored anywhere, a fault of the task."""
        try:
            return super().store_result(task_id, result, state, *args, **kwargs)
        except EncodeError:
            raise
        except Exception as error:
            _log.error("%s of task %s could not be stored, and is lost: %s", state, task_id, str(error) or repr(error))
            return result


class Lost(DisabledBackend):
    """Stands for a store that there is no way to; raises the reason whenever it is asked for something."""

    def __init__(self, app: Celery, reason: Exception) -> None:
        super().__init__(app=app)
        self._reason = reason

    def store_result(self, *_args: Any, **_kwargs: Any) -> NoReturn:
        """Raise the reason."""
        raise self._reason

    get_state = get_status = get_result = get_traceback = get_task_meta_for = wait_for = get_many = store_result


class Missing(Tolerant, Lost):
    """Loses what is to be stored, with a line in the log; whoever asks for a result is told why there is none."""
