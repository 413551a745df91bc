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


def lacks_self(run: Any) -> bool:
    """Say whether a function in a class has an argument of its callers in the place of self, of its own name and type."""
    first = next(iter(inspect.signature(run).parameters.values()), None) if inspect.isfunction(run) else None
    if first is None or first.annotation is first.empty:
        return False
    return first.name not in {"self", "task"} and not any(each in str(first.annotation) for each in ("Task", "Self"))
