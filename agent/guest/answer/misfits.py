"""Why an entry of a schedule would send nothing, or not what it says: its task, its arguments, its options."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from datetime import datetime
from typing import Any

import celery
import kombu
from amqp import Message
from celery.app.amqp import AMQP
from celery.app.routes import MapRoute
from celery.beat import BeatLazyFunc, ScheduleEntry, Scheduler
from kombu.exceptions import EncodeError

from celery_delivery.errors import PriorityError
from celery_delivery.sending.outgoing import encoded
from celery_delivery.sending.priorities import check, check_number
from celery_delivery.sending.routing import unknown
from celery_delivery.settings.profile import is_safe

from ..schedule.entries import MISSED, scheduler_of
from ..suggestion import suggestion

_TAKERS = (celery.Task.apply_async, celery.Celery.send_task, AMQP.as_task_v2, kombu.Producer.publish)
_OF_THE_CALL = {"self", "args", "kwargs", "name", "task_id", "options", "properties"}  # no options of an entry
_TIMES = {"countdown": "seconds", "eta": "a datetime", "expires": "seconds, or a datetime"}
_COMMON = ("countdown", "expires", "headers", MISSED, "priority", "queue", "soft_time_limit", "time_limit")


def misfits(entry: ScheduleEntry, app: Any) -> Iterator[str]:
    """Yield what is wrong with an entry that the app sends, and what would be right; nothing is sent or connected.

    Arguments are looked at as `apply_async` looks at them. A BeatLazyFunc is not called: with one, only the number and the
    names of the arguments count.
    """
    find = getattr(app, "task_of", app.tasks.get)
    task = find(entry.task)
    if task is None and hasattr(app, "names"):
        yield f"{unknown(entry.task, app.names)}"
        return
    if task is None and "queue" not in entry.options:
        advice = suggestion(entry.task, tuple(app.tasks), shown=repr)
        yield f"the app has no task {entry.task!r}. {advice or 'Name one of its tasks, or a queue in the options.'}"
        return
    if task is not None:
        yield from _arguments(entry, task)
    yield from _names(entry, task, app)
    yield from _values(entry, app)


def unheeded(name: str, app: Any, connection: Any) -> Iterator[str]:
    """Yield what is wrong with the priorities of entries, on the broker of an open connection."""
    scheduler = scheduler_of(name, app) if is_safe(app.conf) else None
    for entry in scheduler.schedule.values() if isinstance(scheduler, Scheduler) else ():
        if entry.options.get("priority") and not entry.options.keys() & {"queue", "exchange"}:
            try:
                check(entry.options["priority"], connection, f"entry {entry.name!r}: its task")
            except PriorityError as error:
                yield f"{error}."


def _arguments(entry: ScheduleEntry, task: Any) -> Iterator[str]:
    args, kwargs = entry.args or (), entry.kwargs or {}
    check_names = getattr(task, "__header__", None) if task.typing else None
    own = (task,) if task.__v2_compat__ else ()
    try:
        if check_names is not None:
            check_names(*own, *args, **kwargs)
        if any(isinstance(value, BeatLazyFunc) for value in (*args, *kwargs.values())):
            return
        if hasattr(task, "values"):
            args, kwargs = task.values.encoded(args, kwargs)
        encoded((args, kwargs), {"serializer": entry.options.get("serializer") or task.serializer})
    except (TypeError, EncodeError) as error:
        yield f"its arguments do not fit the task: {error}."


def _names(entry: ScheduleEntry, task: Any, app: Any) -> Iterator[str]:
    """Yield the options that nobody takes: Celery drops them without a word."""
    if (task is not None and _has_own_way(task)) or _has_own_routes(app):
        return  # which may take any
    known = _known()
    for name in entry.options:
        if name not in known:
            advice = (
                suggestion(str(name), known, shown=repr)
                or f"There are {', '.join(_COMMON)}, and others of apply_async."
            )
            yield f"nothing is known of its option {name!r}. {advice}"


def _values(entry: ScheduleEntry, app: Any) -> Iterator[str]:
    for name, value in entry.options.items():
        if name not in _TIMES:
            continue
        try:
            app.amqp.as_task_v2("", entry.task, **{name: value})
            if isinstance(value, str):
                datetime.fromisoformat(value)
        except (TypeError, ValueError, AttributeError, OverflowError):
            yield f"its option {name} is {value!r}, and must be {_TIMES[name]}."
    try:
        if entry.options.get("priority") is not None:
            check_number(entry.options["priority"], "its task")
    except PriorityError as error:
        yield f"{error}."


def _known() -> set[str]:
    """Return what somebody on the way from `apply_async` to the broker takes."""
    taken = {name for taker in _TAKERS for name in inspect.signature(taker).parameters}
    return {MISSED, "queue", *taken, *(name for name, _ in Message.PROPERTIES)} - _OF_THE_CALL


def _has_own_way(task: Any) -> bool:
    """Say whether a task's class has an `apply_async` of its own."""
    own = type(task).__mro__[: type(task).__mro__.index(celery.Task)]
    return any("apply_async" in vars(each) for each in own)


def _has_own_routes(app: Any) -> bool:
    """Say whether functions of the app's own say where its tasks go: they see all options."""
    return any(not isinstance(route, MapRoute) for route in app.amqp.router.routes or ())
