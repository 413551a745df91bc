"""Tasks that failed for good and are kept: each becomes a dead letter, with what was raised and the traceback.

    what a task's last run raises                what becomes of its message
    -------------------------------------------  -------------------------------------------------------------------
    any exception, once there are no retries     a copy with the reason in headers, FAILED and TRACEBACK, takes its
    left; a hard time limit that is a failure    place; when it comes it is rejected, and is a dead letter
    what the class names in `throws`             it is acked: that is an answer its author expects
    Retry, Ignore, Reject; its revocation        what it says
    nothing, as its process ended                it is given back, see `blame`

Its caller has been told by then, as without this. The copy is confirmed before the message is acked. A worker that dies between
the two leaves both: the task runs once more, and there may be two letters. Where no copy is taken, the message itself is
rejected: a dead letter that does not say why, and the log does.
"""

from typing import Any

from billiard.einfo import ExceptionInfo, ExceptionWithTraceback
from billiard.exceptions import Terminated, TimeLimitExceeded, WorkerLostError
from celery.exceptions import Ignore, Reject, Retry
from celery.utils.log import get_logger
from celery.worker.request import Request
from kombu.utils.encoding import safe_repr

from celery_delivery.settings.profile import acks_on_timeout
from celery_delivery.worker.blame import blame
from celery_delivery.worker.copies import options_of, send
from celery_delivery.worker.deaths import FAILED, HEADER, TRACEBACK
from celery_delivery.worker.outcomes import Expected

LONGEST_REASON = 1_000  # bytes; all headers share a frame of 128 KiB
LONGEST_TRACEBACK = 16_000  # bytes of its end

_NO_FAILURES = (Ignore, Reject, Retry, Terminated, WorkerLostError, TimeLimitExceeded, SystemExit, KeyboardInterrupt)

_log = get_logger(__name__)


def keeping(base: type[Request]) -> type[Request]:
    """Return a Request class that keeps what failed, made of one that does not."""

    class Kept(base):
        failure: tuple[str, str] | None = None  # what was raised, and its traceback

        def on_failure(self, exc_info: ExceptionInfo, *args: Any, **kwargs: Any) -> Any:
            raised = exc_info.exception
            raised = raised.exc if isinstance(raised, ExceptionWithTraceback) else raised
            expected = getattr(self.task, "throws", None) or ()
            if not isinstance(raised, (*_NO_FAILURES, Expected, *expected)):
                self.failure = safe_repr(raised), str(exc_info.traceback or "")
                if self.acknowledged:  # before it ran
                    _keep(self, self.failure)
            return super().on_failure(exc_info, *args, **kwargs)

        def on_timeout(self, soft: bool, timeout: float) -> None:
            if not soft and acks_on_timeout(self.task):
                self.failure = safe_repr(TimeLimitExceeded(timeout)), ""
            super().on_timeout(soft, timeout)

        def acknowledge(self) -> None:
            if self.failure is None or self.acknowledged or _keep(self, self.failure):
                super().acknowledge()
            else:
                super().reject(requeue=False)

        def reject(self, requeue: bool = False) -> None:
            if requeue or self.failure is None:
                super().reject(requeue)
            else:
                self.acknowledge()

    return Kept


def _keep(request: Request, failure: tuple[str, str]) -> bool:
    """Say whether a copy of a task's message is where it becomes a dead letter, or there is no such place."""
    consumer, message = blame.consumer, request.message
    queue = None if consumer is None else consumer.queue_of(message)
    if queue is None:
        return True
    reason, traceback = failure
    added = {FAILED: _within(reason, LONGEST_REASON), TRACEBACK: _end_of(traceback)}
    try:
        send(consumer.app, message, options_of(message, queue.name, {HEADER}, **added))
    except Exception as error:  # noqa: BLE001 - whatever keeps the broker from taking it
        text = "Task %s[%s] failed. No copy of it is taken that says why, and it becomes a dead letter as it is: %s"
        _log.error(text, request.name, request.id, error)
        return False
    _log.info("Task %s[%s] failed, and becomes a dead letter", request.name, request.id)
    return True


def _within(text: str, longest: int) -> str:
    return text.encode(errors="backslashreplace")[:longest].decode(errors="ignore")


def _end_of(text: str) -> str:
    return text.encode(errors="backslashreplace")[-LONGEST_TRACEBACK:].decode(errors="ignore")
