"""Tasks whose `run` is a coroutine function: whoever runs one waits for what the process's event loop makes of it.

To Celery they are functions: acks, retries, results, signals and hooks are its own, in the thread that waits. asyncio is
imported where there is such a task, and the loop is started by the first one that runs.

    what is awaited                          where
    ---------------------------------------  -------------------------------------------------------------------
    run, before_start, on_success, …         each that is `async def`, also below decorators that use `wraps`
    __call__ of a task's own class           what it returns; `self.run(…)` in it is what it is without us

Called directly where a loop runs, such a task is a coroutine to await; elsewhere it is run, and its result returned.
"""

import sys
from collections.abc import Callable, Collection, Coroutine
from functools import wraps
from types import CoroutineType
from typing import Any

import celery
from celery.exceptions import Ignore
from celery.utils.objects import mro_lookup

from celery_delivery import internals, mending
from celery_delivery.contract.runs import is_coroutine_function

HOOKS = ("before_start", "on_success", "on_failure", "on_retry", "after_return")
_LOOP = "celery_delivery.coroutines.loop"
_MARK = "_waits_for_its_coroutine"
_LOOKED_AT = "_returns_no_coroutine"
_CELERY = ["celery.app.task", "celery.app.trace"]  # whose `__call__` is Celery's own; a worker's is from the second


class Terminated(Ignore):
    """A task that was revoked has ended by it: its request tells, and nothing else is stored."""


def host(task: celery.Task) -> None:
    """Have the coroutines of a task be run; once, however often it is asked for."""
    if not any(map(_is_to_be_hosted, _methods(task).values())) or not mending.applies(internals.worker.COROUTINES):
        return
    from celery_delivery.coroutines import stacks  # noqa: PLC0415

    stacks.follow_runs(task)
    kind = type(task)
    has_own_call = _has_own_call(task)
    for name, method in _methods(task).items():
        if not _is_to_be_hosted(method):
            continue
        if name in HOOKS or not has_own_call:
            setattr(task, name, _waiting(task, method))
            continue
        setattr(task, name, _passing_on(method))
        if not is_hosted(kind.__call__):
            kind.__call__ = _answering(kind.__call__)


def host_all(app: celery.Celery) -> None:
    """Do the same for all tasks of an app that a worker runs; and have one fail that returns a coroutine and is a function."""
    for task in app.tasks.values():
        host(task)
        if not (is_looked_at(task.run) or _has_own_call(task)) and mending.applies(internals.worker.COROUTINES):
            task.run = _refusing(task, task.run)


def enforce_limits() -> None:
    """Have time limits of coroutines hold in this process: its pool enforces none."""
    _enforcing.append(True)


def limits_are_enforced() -> bool:
    """Say whether `enforce_limits` was called here."""
    return bool(_enforcing)


def give_back(task_ids: Collection[str]) -> None:
    """Cancel the coroutines of tasks, since this process ends, and begin none from now on; nothing is waited for."""
    loop = sys.modules.get(_LOOP)
    if loop is not None:
        loop.give_back(frozenset(task_ids))


def revoke(task_id: str, unless: Callable[[], object]) -> None:
    """Cancel the coroutine of a task that was revoked; call `unless` where none of it runs here. Nothing is waited for."""
    loop = sys.modules.get(_LOOP)
    if loop is None or not loop.revoke(task_id, unless):
        unless()


def is_hosted(method: Callable[..., Any]) -> bool:
    """Say whether a method is one that waits for its coroutine."""
    return hasattr(method, _MARK)


def is_looked_at(method: Callable[..., Any]) -> bool:
    """Say whether a coroutine that a method returns is waited for, or refused."""
    return is_hosted(method) or hasattr(method, _LOOKED_AT)


def look_at(method: Callable[..., Any]) -> None:
    """Note that somebody looks whether a method returns a coroutine."""
    setattr(method, _LOOKED_AT, True)


def refuse(task: celery.Task, coroutine: Coroutine[Any, Any, Any]) -> None:
    """Raise TypeError for a coroutine that a function has returned, which nobody would run."""
    coroutine.close()  # else Python says as well that nobody has run it
    raise TypeError(f"{task.name} returned a coroutine: define it with async def, so that it is run")


_enforcing: list[bool] = []


def _methods(task: celery.Task) -> dict[str, Any]:
    """Return what may be a coroutine function; with `autoretry_for` Celery's own `run` calls `_orig_run`."""
    run = "_orig_run" if hasattr(task, "_orig_run") else "run"
    return {name: getattr(task, name) for name in (run, *HOOKS)}


def _has_own_call(task: celery.Task) -> bool:
    return mro_lookup(type(task), "__call__", stop={celery.Task, object}, monkey_patched=_CELERY) is not None


def _is_to_be_hosted(method: Any) -> bool:
    return is_coroutine_function(method) and not is_hosted(method)


def _waiting(task: celery.Task, method: Callable[..., Any]) -> Callable[..., Any]:
    from celery_delivery.coroutines.loop import settle  # noqa: PLC0415

    @wraps(method)
    def call(*args: Any, **kwargs: Any) -> Any:
        value = method(*args, **kwargs)
        return settle(task, value) if isinstance(value, Coroutine) else value

    setattr(call, _MARK, True)
    return call


def _refusing(task: celery.Task, run: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(run)
    def call(*args: Any, **kwargs: Any) -> Any:
        value = run(*args, **kwargs)
        if type(value) is CoroutineType and not task.request.called_directly:
            refuse(task, value)
        return value

    look_at(call)
    return call


def _passing_on(method: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(method)
    def call(*args: Any, **kwargs: Any) -> Any:
        return method(*args, **kwargs)

    setattr(call, _MARK, True)
    return call


def _answering(stock: Callable[..., Any]) -> Callable[..., Any]:
    from celery_delivery.coroutines.loop import settle  # noqa: PLC0415

    @wraps(stock)
    def __call__(task: celery.Task, *args: Any, **kwargs: Any) -> Any:  # noqa: N807 - as the log shows it
        value = stock(task, *args, **kwargs)
        return settle(task, value) if isinstance(value, Coroutine) else value

    setattr(__call__, _MARK, True)
    return __call__
