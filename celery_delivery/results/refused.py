"""A result that the broker refuses for good: whoever waits for it is told so, in its place.

fault of the stock rpc backend                                seen as                                  mend
------------------------------------------------------------  ---------------------------------------  ----------------
a result above the broker's max_message_size closes the       the caller waits for ever; the result    Telling
channel, which is noticed with the next result                of the next task is lost, and blamed
"""

from typing import Any

from celery import states
from celery.backends.rpc import RPCBackend
from celery.utils.log import get_logger

from celery_delivery.errors import Refused, ResultRefused

_log = get_logger(__name__)


class Telling(RPCBackend):
    """Sends a failure that says why, where the broker refuses what a task ended with."""

    def store_result(
        self, task_id: str, result: Any, state: str, traceback: str | None = None, request: Any = None, **options: Any
    ) -> Any:
        """Send a result or another state; raises Refused where it is not the last one, SendError where nothing can be sent."""
        try:
            return super().store_result(task_id, result, state, traceback, request, **options)
        except Refused as error:
            if state not in states.READY_STATES:
                raise
            reason = f"the task has ended with {state}, but {error}"
            _log.error("The caller of task %s is told this instead of its result: %s", task_id, reason)
            super().store_result(task_id, ResultRefused(reason), states.FAILURE, None, request, **options)
        return result
