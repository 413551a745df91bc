"""What kind of function a task's `run` is."""

import inspect
from typing import Any

GENERATOR = "a generator, whose body no worker would run: use return, not yield"


def is_generator(run: Any) -> bool:
    """Say whether a function has `yield` in it, be it `def` or `async def`."""
    return inspect.isgeneratorfunction(run) or inspect.isasyncgenfunction(run)


def is_coroutine_function(run: Any) -> bool:
    """Say whether a function is a coroutine function, or a decorator's function around one."""
    return inspect.iscoroutinefunction(run) or inspect.iscoroutinefunction(inspect.unwrap(run))
