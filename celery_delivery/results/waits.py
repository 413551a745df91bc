"""Whether a task may wait for another: said for each thread and coroutine by itself.

fault of stock Celery                                         seen as                                  mend
------------------------------------------------------------  ---------------------------------------  ----------------
`allow_join_result()` sets one variable of the process, and   threads: `.get()` in a task waits, for   by_context
puts back what it found there                                 ever where two have overlapped, and
                                                              raises nothing

A thread that a task starts by itself begins without what that task allows. `asyncio.to_thread` takes it along.
"""

import sys
from contextvars import ContextVar

from celery import _state, result

# What reads the variable, by a name of its own. What is imported later has its from the first.
_READERS = ("celery._state", "celery.result", "celery.backends.redis", "celery.backends.rpc")

_here: ContextVar[bool | None] = ContextVar("a task must not wait here", default=None)  # None: as the process has it


def by_context() -> None:
    """Have `allow_join_result` and `denied_join_result` of this process say it for the present context alone."""
    for name in _READERS:
        if name in sys.modules:
            sys.modules[name].task_join_will_block = _must_not_wait  # type: ignore[attr-defined]
    result._set_task_join_will_block = _say


def _must_not_wait() -> bool:
    here = _here.get()
    return _state._task_join_will_block if here is None else here


def _say(must_not: bool) -> None:
    _here.set(None if must_not == _state._task_join_will_block else must_not)
