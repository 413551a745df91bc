"""A task has ended as it has, though its result can't be stored.

fault of any stock backend                                    seen as                                  mend
------------------------------------------------------------  ---------------------------------------  ----------------
a task that is done counts as failed where its result can't   Redis restarted: each task that ended    Tolerant
be stored                                                     meanwhile "failed", and was acked
"""

from typing import Any

from celery.backends.base import Backend
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
