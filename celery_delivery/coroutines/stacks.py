"""Which task is running, for coroutines that take turns in one thread: `self.request`, `current_task`, the log's task.

Celery keeps stacks of tasks and of requests for each thread. Here a run of a coroutine has its own, which its context
names: what it creates (`create_task`, `gather`), and its `to_thread`, see the same. What outlives the run sees none.
"""

from collections.abc import Callable
from contextvars import ContextVar, Token
from typing import Any

import celery
from celery._state import _task_stack
from celery.utils.threads import LocalStack


class Scope:
    """The stacks of one run: copies of those of the thread that it is made in."""

    __slots__ = ("_requests", "_stacks", "_tasks", "request", "task")

    def __init__(self, task: celery.Task) -> None:
        self.task = task
        self.request: Any = task.request
        self._stacks = (_task_stack, task.request_stack)
        self._tasks, self._requests = (list(stack.stack) for stack in self._stacks)

    def enter(self) -> Token[Any]:
        """Have the present context, and all that are made of it, see these stacks; return what undoes it there."""
        token = present.set(self)
        for stack, seen in zip(self._stacks, (self._tasks, self._requests), strict=True):
            for each in seen:
                stack.push(each)
        return token

    def __str__(self) -> str:
        return f"{self.task.name}[{self.request.id}]"

    def leave(self) -> None:
        """Have those contexts see empty stacks; called in one of them."""
        for stack in self._stacks:
            stack.__release_local__()


present: ContextVar[Scope | None] = ContextVar("present", default=None)


def follow_runs(task: celery.Task) -> None:
    """Have Celery's stacks of tasks, and of this task's requests, be those of the run that looks at them."""
    for stack in (_task_stack, task.request_stack):
        if stack not in _following:
            _following.append(stack)
            stack.__ident_func__ = _whose(stack.__ident_func__)


_following: list[LocalStack] = []


def _whose(outside: Callable[[], Any]) -> Callable[[], Any]:
    def whose() -> Any:
        return present.get() or outside()

    return whose
