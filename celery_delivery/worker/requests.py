"""A task that a worker was given: its caller is told what becomes of it when that is certain, and not before.

fault of the stock request                                    seen as                                  mend
------------------------------------------------------------  ---------------------------------------  ----------
a task that ends its process each time is a dead letter in    its caller waits for ever; there is no   revoked
the end, and nobody tells (celery #5989)                      line in the log
a task that is killed by its time limit is told to have       its caller is told FAILURE at the first  on_timeout
failed, and delivered again (celery #9596)                    of six runs; a later one may succeed
where it is acked, it is told twice                           its errbacks run twice                   on_failure
before 5.7 nobody is told of a task that rejects its message  its caller waits for ever                 on_failure
the id of a task that has expired is remembered               a later one of that id is acked, and     maybe_expire
                                                              not run

The first two are mended where the profile `safe` gives tasks back. What comes for the last time that its queue allows has taken
a process or a connection along each time. It is not run again: with threads and solo nobody would be left to tell. The broker
then makes a dead letter of it.
"""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import celery
from billiard.common import TERM_SIGNAME
from billiard.einfo import ExceptionInfo, ExceptionWithTraceback
from billiard.exceptions import TimeLimitExceeded, WorkerLostError
from celery import signals, states
from celery.exceptions import Reject
from celery.platforms import signals as _signals
from celery.utils.imports import symbol_by_name
from celery.utils.log import get_logger
from celery.worker.request import Request as StockRequest
from celery.worker.state import task_ready
from kombu.utils.encoding import safe_repr
from kombu.utils.functional import LRUCache

from celery_delivery.coroutines.hosting import Terminated
from celery_delivery.settings.profile import acks_on_timeout, is_safe
from celery_delivery.topology.queues import DELIVERY_LIMIT

_log = get_logger(__name__)
_TELLS_OF_REJECTS = (5, 7)  # the first Celery that does itself
_ends = LRUCache(limit=1000)  # why tasks were given back, as far as this process knows: by id, the repr of an exception


class SetAside:
    """Tasks that are not run, or not again, and have failed by that; `tell` is called for each."""

    def __init__(self) -> None:
        self.tell: Callable[[], None] = lambda: None


set_aside = SetAside()


class Request(StockRequest):
    """A request for a task of this library's apps."""

    def revoked(self) -> bool:
        """Say whether the task is not to be run; whoever waits for its result has been told then."""
        if super().revoked():
            return True
        is_spent = self._is_spent
        if is_spent:
            self.give_up()
        return is_spent

    def maybe_expire(self) -> bool:
        """Say whether the time for the task is over; others of its id are not concerned."""
        return bool(self.expires) and datetime.now(UTC) > self.expires

    def on_timeout(self, soft: bool, timeout: float) -> None:
        """Give back a task whose process the hard limit has killed, where it is not to be acked; nothing is certain yet."""
        if soft or not self._is_kept or acks_on_timeout(self.task):
            super().on_timeout(soft, timeout)
            return
        task_ready(self)
        _log.error("Hard time limit (%ss) exceeded for %s[%s]: it is given back", timeout, self.name, self.id)
        self.reject(requeue=True)

    def on_failure(self, exc_info: ExceptionInfo, *args: Any, **kwargs: Any) -> Any:
        """Remember why a task may be given back; leave a time limit to `on_timeout`, which the pool calls next."""
        raised = exc_info.exception
        raised = raised.exc if isinstance(raised, ExceptionWithTraceback) else raised
        if isinstance(raised, Terminated):
            return self._announce_revoked("terminated", True, _signals.signum(TERM_SIGNAME), False)
        if isinstance(raised, WorkerLostError | TimeLimitExceeded | Reject):
            _ends[self.id] = safe_repr(raised)
        if isinstance(raised, Reject) and not raised.requeue and celery.VERSION < _TELLS_OF_REJECTS:
            self.task.backend.mark_as_failure(self.id, raised, request=self._context, store_result=self.store_errors)
        return None if isinstance(raised, TimeLimitExceeded) else super().on_failure(exc_info, *args, **kwargs)

    @property
    def _is_spent(self) -> bool:
        count = (self.message.headers or {}).get("x-delivery-count", 0) if self.delivery_info["redelivered"] else 0
        return isinstance(count, int) and count >= DELIVERY_LIMIT and self._is_kept

    @property
    def _is_kept(self) -> bool:
        """Whether it is in a queue with a limit of deliveries until it has ended."""
        return bool(self.task.acks_late) and (hasattr(self.task, "is_kept") or is_safe(self.app.conf))

    def give_up(self) -> None:
        """Tell that the task has failed, and give it back once too often."""
        why = _ends.pop(self.id, "what this process has not seen, such as the end of another")
        often = f"delivered {DELIVERY_LIMIT + 1} times, as often as its queue allows"
        text = f"{often}, and given back each time; the last time because of {why}"
        _log.error(
            "Task %s[%s] was %s. It is a dead letter now, and its caller is told that it failed",
            self.name,
            self.id,
            text,
        )
        tell(self, WorkerLostError(text))
        self.reject(requeue=True)
        task_ready(self)


def tell(request: StockRequest, error: Exception) -> None:
    """Tell that a task has failed, which was not run; that nobody can be told must not end the worker."""
    set_aside.tell()
    try:
        _fail(request, error)
    except Exception:
        _log.exception("Task %s[%s]: nobody could be told that it failed", request.name, request.id)


def _fail(request: StockRequest, error: Exception) -> None:
    """Have a failure's result stored, and its hooks and receivers called, as for a task that raises."""
    task, context = request.task, request._context  # noqa: SLF001
    try:
        raise error
    except WorkerLostError:
        info = ExceptionInfo()
    task.backend.mark_as_failure(request.id, error, request=context, store_result=request.store_errors)
    task.request_stack.push(context)
    try:
        task.on_failure(error, request.id, request.args, request.kwargs, info)
        task.after_return(states.FAILURE, error, request.id, request.args, request.kwargs, info)
        signals.task_failure.send(
            sender=task,
            task_id=request.id,
            exception=error,
            args=request.args,
            kwargs=request.kwargs,
            traceback=error.__traceback__,
            einfo=info,
        )
    finally:
        task.request_stack.pop()


def certain(base: type[StockRequest] | str) -> type[Request]:
    """Return the class of requests for a task that names one of its own."""
    return type("Request", (Request, symbol_by_name(base)), {})
