"""What a task class says when it is called as if it were a task: `ChargeCardTask.delay(7)`.

Python takes the first argument for self then, and Celery fails by that: "'int' object has no attribute 'apply_async'".
"""

from collections.abc import Callable
from functools import wraps
from types import MethodType
from typing import Any

import celery

METHODS = ("apply_async", "delay", "s", "si", "signature")


def tell() -> None:
    """Have the methods by which tasks are sent say what to write instead, from now on, in this process."""
    for name in METHODS:
        method = vars(celery.Task)[name]
        if not isinstance(method, _OfTasks):
            setattr(celery.Task, name, _OfTasks(method))


class _OfTasks:
    """A method of tasks, which a class has too, as Python has it, for whoever calls it with a task."""

    def __init__(self, method: Callable[..., Any]) -> None:
        self._method = method

    def __get__(self, task: celery.Task | None, owner: type[celery.Task]) -> Any:
        if task is not None:
            return MethodType(self._method, task)
        method = self._method

        @wraps(method)
        def call(*args: Any, **kwargs: Any) -> Any:
            if args and isinstance(args[0], celery.Task):
                return method(*args, **kwargs)
            task, name = owner.__name__, method.__name__
            raise TypeError(
                f"{task} is a class, and only a task can be sent: write {task}().{name}(…), or take the task that "
                "create_worker_from returns"
            )

        return call
