"""What is sent when a task has ended, told from what the task itself sends, where Celery does not tell it: before 5.7.

Celery 5.7 sends a task's callbacks, and the next step of its chain, by `AMQP._retry_publish`.

fault of stock Celery 5.5 and 5.6                             seen as                                  mend
------------------------------------------------------------  ---------------------------------------  ------------
what follows a task and can't be sent is noted as a fault of  a chain ends, without a word, at the     Unsent
the worker, and the task is acked                             step during which the broker was away
"""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from contextvars import ContextVar
from functools import wraps
from typing import Any

import celery
from celery.app.amqp import AMQP
from celery.exceptions import Reject

from celery_delivery.sending.routing import passing_on

IS_TOLD = hasattr(AMQP, "_retry_publish")  # by Celery itself

_following: ContextVar[ExitStack | None] = ContextVar("following", default=None)


class Unsent(BaseException):
    """What follows a task could not be sent, and the task is to be given back; the tracer lets nothing else through."""

    def __init__(self, rejection: Reject) -> None:
        super().__init__(rejection)
        self.rejection = rejection


def followed(task: celery.Task, run: Callable[..., Any]) -> Callable[..., Any]:
    """Return a task's `run` after which what is sent in this thread follows it, until `traced` returns."""
    if IS_TOLD:
        return run

    @wraps(run)
    def call(*args: Any, **kwargs: Any) -> Any:
        value = run(*args, **kwargs)
        if not (task.request.called_directly or task.request.is_eager):
            follows = ExitStack()
            follows.enter_context(passing_on())
            _following.set(follows)
        return value

    return call


def traced(trace: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    """Run a task, and send what follows it, by one of Celery's tracing functions; raises Reject where that can't be sent."""
    if IS_TOLD:  # then `followed` notes nothing: each task would pay for a look that finds nothing
        return trace(*args, **kwargs)
    try:
        return trace(*args, **kwargs)
    except Unsent as error:
        raise error.rejection from error
    finally:
        follows = _following.get()
        if follows is not None:
            _following.set(None)
            follows.close()


@contextmanager
def counting() -> Iterator[None]:
    """Hold the counting of a task in its chord, which would count it twice if it were given back."""
    token = _following.set(None)
    try:
        yield
    finally:
        _following.reset(token)


def is_following() -> bool:
    """Say whether what is sent at present follows a task that has ended."""
    return _following.get() is not None
