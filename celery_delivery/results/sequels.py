"""What is to be done when tasks have ended: the body of a chord, and what is called where one has failed.

fault of stock Celery 5.7                                     seen as                                  mend
------------------------------------------------------------  ---------------------------------------  ---------------------
a chord whose results go where nobody can count them is       a text of five lines, of another layer   ensure_chords_allowed
refused as not implemented
an errback that can't be sent is an error of the worker       the task's failure is told twice         _call_task_errbacks
"""

from typing import Any

from celery.backends.base import Backend
from celery.utils.log import get_logger

from celery_delivery import internals, mending
from celery_delivery.errors import SendError, WorkflowError
from celery_delivery.sending.routing import passing_on

_log = get_logger(__name__)


class Sequels(Backend):
    """Goes before a backend among the bases of a class."""

    def ensure_chords_allowed(self) -> None:
        """Raise WorkflowError where nobody can count what is done."""
        try:
            super().ensure_chords_allowed()
        except NotImplementedError:
            where = self.app.conf.result_backend
            text = f"A chord, or a group with a step behind it, needs results in Redis or a database, not in {where!r}"
            raise WorkflowError(text) from None

    @mending.where(internals.client.ERRBACKS)
    def _call_task_errbacks(self, request: Any, *failure: Any) -> None:
        try:
            with passing_on():
                super()._call_task_errbacks(request, *failure)
        except SendError as error:
            _log.error("Task %s has failed, and what was to be called then could not be sent: %s", request.id, error)
