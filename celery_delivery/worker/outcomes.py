"""How a task ended, as a worker's main process can take it: whatever happened, one task has ended, in plain words.

fault of the stock worker                                     seen as                                  mend
------------------------------------------------------------  ---------------------------------------  ----------
what gets past the tracer (MemoryError, Reject of a hook, a   threads: the queue stands still, since    outcome_of
result store whose library is missing) is nobody's            the task keeps its place; solo: the
                                                              worker dies; six times
an exception goes to the main process as itself, which may    prefork: the main process ends, or the   plain
not have its class, or can't make it of what was pickled      queue stands still, without a line
(celery #6990); a MemoryError is raised there once more, and  prefork: six runs; the caller is never
a task's own WorkerLostError taken for a lost child           told
arguments that are read once more, where the stack is higher  solo: acked, and not run                 outcome_of
"""

from collections.abc import Callable
from functools import partial
from typing import Any

from billiard import common
from billiard.einfo import ExceptionInfo, ExceptionWithTraceback
from celery import current_app
from celery.app.task import Context
from celery.exceptions import Ignore, Reject, Retry, WorkerShutdown, WorkerTerminate
from celery.utils.log import get_logger
from celery.worker import state
from kombu.exceptions import DecodeError
from kombu.utils.encoding import safe_repr

from celery_delivery.coroutines.hosting import Terminated
from celery_delivery.errors import TaskExit
from celery_delivery.sending.following import traced
from celery_delivery.worker.hooks import Replaced

_log = get_logger(__name__)

Outcome = tuple[int, Any, float]  # whether it failed, the result's repr or the ExceptionInfo, the seconds that it ran


class Raised(Exception):
    """What a task raised, by its repr."""

    def __repr__(self) -> str:
        """Return that of what it stands for."""
        return str(self)


class Expected(Raised):
    """The same, of a class that the task names in `throws`."""


def plain_outcomes(apply_async: Callable[..., Any]) -> Callable[..., Any]:
    """Return a pool's method `apply_async` that has each task end in an outcome that every process can read."""

    def apply(target: Callable[..., Outcome], *args: Any, **options: Any) -> Any:
        return apply_async(partial(outcome_of, target), *args, **options)

    return apply


def outcome_of(
    trace: Callable[..., Outcome], name: str, task_id: str, request: dict[str, Any], *message: Any
) -> Outcome:
    """Run a task by one of Celery's tracing functions, with what that takes; raise only what ends the worker."""
    try:
        failed, result, seconds = traced(trace, name, task_id, request, *message)
    except BaseException as error:
        if _ends_the_worker(error):
            raise
        failed, result, seconds = 1, ExceptionInfo(), 0.0
        _tell(name, task_id, request, error, result.traceback)
        if isinstance(error, DecodeError):  # of its arguments: the stack is higher here than where they were looked at
            result.exception = Reject(safe_repr(error))
    if failed:
        raised = _raised(result)
        result = plain(result, _expected(name))
        if isinstance(raised, Ignore) and not isinstance(raised, Replaced | Terminated):
            _log.info("Task %s[%s] raised Ignore: whoever waits for its result is told nothing", name, task_id)
    return failed, result, seconds


def plain(info: ExceptionInfo, expected: tuple[type[BaseException], ...] = ()) -> ExceptionInfo:
    """Return what a task raised as an exception that every process can read and gives no other meaning to.

    Celery's own three, which say what becomes of the message, stay what they are. expected: what the task names in `throws`.
    """
    raised = _raised(info)
    match raised:
        case Reject():
            info.exception = Reject(_text(raised.reason), requeue=bool(raised.requeue))
        case Terminated():
            info.exception = Terminated()
        case Ignore():
            info.exception = Ignore()
        case Retry():
            info.exception = Retry(_text(raised.message), exc=raised.exc and Raised(safe_repr(raised.exc)))
        case _:
            info.exception = (Expected if isinstance(raised, expected) else Raised)(safe_repr(raised))
    info.type = type(info.exception)
    info.tb = None  # its text is in `traceback`
    return info


def _expected(name: str) -> tuple[type[BaseException], ...]:
    return tuple(getattr(current_app.tasks.get(name), "throws", None) or ())


def _raised(info: ExceptionInfo) -> BaseException:
    error: BaseException = info.exception
    return error.exc if isinstance(error, ExceptionWithTraceback) else error


def _text(value: Any) -> str | None:
    return value if value is None or type(value) is str else safe_repr(value)


def _tell(name: str, task_id: str, request: dict[str, Any], error: BaseException, traceback: str) -> None:
    """Log what a task did not survive, and tell whoever waits for its result."""
    if isinstance(error, Reject):  # asked for by a hook, or where what follows could not be sent; its request tells
        end = "given back" if error.requeue else "a dead letter"
        _log.warning("Task %s[%s] has run, and is %s: %s", name, task_id, end, safe_repr(error.reason))
        return
    _log.critical("Task %s[%s] raised what Celery did not expect: %r", name, task_id, error, exc_info=error)
    failure = error if isinstance(error, Exception) else TaskExit(repr(error))
    try:
        task = current_app.tasks[name]
        context = Context(request)
        is_stored = task.store_errors_even_if_ignored or not _ignores_result(task, request)
        task.backend.mark_as_failure(task_id, failure, traceback, request=context, store_result=is_stored)
    except Exception:
        _log.exception("Task %s[%s]: nobody could be told that it failed", name, task_id)


def _ignores_result(task: Any, request: dict[str, Any]) -> bool:
    own = request.get("ignore_result")
    return bool(task.ignore_result if own is None else own)


def _ends_the_worker(error: BaseException) -> bool:
    """Say whether a signal's handler raised it, rather than the task."""
    is_told_to = any(
        number is not None and number is not False for number in (state.should_stop, state.should_terminate)
    )
    return common._should_have_exited[0] or (isinstance(error, WorkerShutdown | WorkerTerminate) and is_told_to)
