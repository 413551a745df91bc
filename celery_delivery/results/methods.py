"""The methods that tasks, signatures and results have for event loops: `adelay`, `aapply_async`, `aget` and `aready`.

They are given to Celery's own classes, as there is none between them and a class of tasks. What they need is imported when one
is called: asyncio takes 7 MiB, and workers have no use for it.
"""

from importlib import import_module
from typing import Any

from celery.app.task import Task
from celery.canvas import Signature
from celery.result import AsyncResult, EagerResult, ResultSet

from celery_delivery import internals, mending
from celery_delivery.errors import UnsupportedError


def offer() -> None:
    """Give the classes their methods, unless Celery has some of these names; in this process from now on."""
    for kinds, methods in (
        ((Task, Signature), (adelay, aapply_async)),
        ((AsyncResult, EagerResult, ResultSet), (aget, aready)),
    ):
        for kind in kinds:
            for method in methods:
                if not hasattr(kind, method.__name__):
                    setattr(kind, method.__name__, method)


async def adelay(self: Any, /, *args: Any, **kwargs: Any) -> Any:
    """Send a task with these arguments, as `delay` does; return its result."""
    return await _of("delayed")(self, args, kwargs)


async def aapply_async(self: Any, /, *args: Any, **options: Any) -> Any:
    """Send a task as `apply_async` does with these arguments and options; return its result."""
    return await _of("applied")(self, args, options)


async def aget(self: Any, timeout: float | None = None, propagate: Any = True) -> Any:
    """Return what a task has returned, as `get` does, or raise what it has raised.

    timeout: seconds, None for any number; Celery's TimeoutError is raised then. propagate: whether what was raised is raised.
    """
    return await _of("got")(self, timeout, propagate)


async def aready(self: Any) -> bool:
    """Say whether a task has ended, as `ready` does; a group has when all of its tasks have."""
    return bool(await _of("known")(self))


def _of(name: str) -> Any:
    if not mending.applies(internals.client.AWAITED):
        raise UnsupportedError("nothing can be awaited with the releases that are installed; the log says why")
    return getattr(import_module("celery_delivery.results.awaited"), name)
