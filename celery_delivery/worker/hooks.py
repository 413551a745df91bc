"""What a task class brings, its `run` and its hooks, as Celery's tracer can bear it.

    what is raised                                   stock Celery 5.7                                    here
    -----------------------------------------------  --------------------------------------------------  ---------------
    what is no Exception, by `run` or before_start:  threads: no task is run any more; prefork, solo:    `TaskExit`: the
    SystemExit of sys.exit or argparse,              delivered six times, then a dead letter; the        task has failed
    KeyboardInterrupt, asyncio's CancelledError      caller is never told
    anything, by on_failure or on_retry; what is     the same, or a failure is told besides what had     logged; what
    no Exception or MemoryError, by on_success or    been told before                                    was told before
    after_return                                                                                         stands
    nothing, or anything, in a child of os.fork      the child goes on as a copy of the worker: tells    the child ends,
                                                     the result too, and takes tasks by its connection   with its status

Reject is let through: a hook may ask for it.

`retry(max_retries=)` is kept by stock Celery with the task, whose later runs are retried as often, and in the pool threads
those beside it, where the task has `autoretry_for` (celery PR #6436). Here it is kept with the run.

What a task is replaced by has, in stock Celery, its result sent to the worker, where the results come through the broker:
the caller waits for ever. Here the caller is told.
"""

from collections.abc import Callable
from functools import wraps
from types import CoroutineType
from typing import Any

import celery
from billiard import common
from celery.canvas import Signature
from celery.exceptions import Ignore, Reject, WorkerShutdown, WorkerTerminate
from celery.utils.log import get_logger

from celery_delivery import forks, internals, mending
from celery_delivery.coroutines.hosting import is_hosted, look_at, refuse
from celery_delivery.errors import TaskExit
from celery_delivery.sending.following import followed
from celery_delivery.sending.routing import passing_on
from celery_delivery.sending.workflows import look

BEFORE = ("run", "before_start")
AFTER = {"on_success": 1, "on_failure": 1, "on_retry": 1, "after_return": 2}  # which argument is the task's id

_log = get_logger(__name__)


def contain(task: celery.Task) -> None:
    """Have what a task's own code raises be that task's failure, or a line in the log; once for each task of an app."""
    if not mending.applies(internals.worker.HOOKS):
        return
    for name in BEFORE:
        setattr(task, name, _failing(task, getattr(task, name)))
    task.run = followed(task, task.run)
    for name, place in AFTER.items():
        setattr(task, name, _logged(task.name, getattr(task, name), place))
    type(task).override_max_retries = _OfTheRun("override_max_retries")
    task.replace = _answering(task, task.replace)


class Replaced(Ignore):
    """The task has ended, and what it is replaced by has its result."""


class _OfTheRun:
    """An attribute of a task that each of its runs has for itself."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __get__(self, task: celery.Task, _owner: type) -> Any:
        values = vars(task.request)
        if self._name not in values:
            raise AttributeError(self._name)
        return values[self._name]

    def __set__(self, task: celery.Task, value: Any) -> None:
        vars(task.request)[self._name] = value

    def __delete__(self, task: celery.Task) -> None:
        del vars(task.request)[self._name]


def _answering(task: celery.Task, replace: Callable[[Signature], Any]) -> Callable[[Signature], Any]:
    @wraps(replace)
    def call(signature: Signature) -> Any:
        look(task.app, signature, 0)
        last: Any = signature
        while last.get("subtask_type") == "chain" and last["kwargs"]["tasks"]:
            last = last["kwargs"]["tasks"][-1]
        last["options"]["reply_to"] = task.request.reply_to
        try:
            with passing_on():  # the rest of its chain
                return replace(signature)
        except Ignore as done:
            raise Replaced(*done.args) from None

    return call


def _failing(task: celery.Task, method: Callable[..., Any]) -> Callable[..., Any]:
    is_function = not is_hosted(method)

    @wraps(method)
    def call(*args: Any, **kwargs: Any) -> Any:
        try:
            with forks.ChildrenEndHere():
                value = method(*args, **kwargs)
                if type(value) is CoroutineType and is_function:
                    refuse(task, value)
                return value
        except Exception:
            raise
        except BaseException as error:
            if _ends_the_worker(error) or task.request.called_directly:
                raise
            raise TaskExit(repr(error)) from error

    look_at(call)
    return call


def _logged(name: str, hook: Callable[..., Any], place: int) -> Callable[..., None]:
    @wraps(hook)
    def call(*args: Any, **kwargs: Any) -> None:
        try:
            with forks.ChildrenEndHere():
                hook(*args, **kwargs)
        except Reject:
            raise
        except BaseException as error:
            if _ends_the_worker(error):
                raise
            _log.exception("Task %s[%s]: its %s raised %r", name, args[place], hook.__name__, error)

    return call


def _ends_the_worker(error: BaseException) -> bool:
    """Say whether a signal's handler may have raised it, which wants the process to end; the worker looks closer."""
    return isinstance(error, WorkerShutdown | WorkerTerminate) or common._should_have_exited[0]
