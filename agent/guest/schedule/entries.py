"""What CELERY_AGENT_SCHEDULE names, as one of Celery's own schedulers with its entries; nothing is sent by it here.

app                    the app's `beat_schedule`, or its `beat_scheduler` where that keeps entries elsewhere
package.module:NAME    a dict like `beat_schedule`, or a class of Celery's schedulers, such as
                       django_celery_beat.schedulers:DatabaseScheduler
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from celery import Celery, Task
from celery.beat import PersistentScheduler, ScheduleEntry, Scheduler
from celery.schedules import BaseSchedule
from celery.utils.imports import symbol_by_name

from ..spec import OF_APP
from .dues import Missed

MISSED = "missed"  # the option of an entry that is the agent's own
SHORTEST = timedelta(seconds=0.1)  # between two ticks of an entry; each waits until the broker has it

KINDS: dict[str, Any] = {
    "task": object,
    "schedule": (int, float, timedelta, BaseSchedule),
    "args": (list, tuple),
    "kwargs": Mapping,
    "options": Mapping,
    "relative": (bool, int),
}
WORDS = {
    "task": "a task or the name of one",
    "schedule": "seconds, a timedelta, a crontab or another schedule of Celery's",
    "args": "a list",
    "kwargs": "a dict",
    "options": "a dict",
    "relative": "true or false",
}


class BadSchedule(Exception):
    """What is named can't be used; the text says why, and what to do."""


def scheduler_of(name: str, app: Celery) -> Scheduler | type[Scheduler]:
    """Return a scheduler with the entries that a name stands for, or the class of one that keeps entries itself.

    Raises BadSchedule, and what importing it does.
    """
    found = symbol_by_name(app.conf.beat_scheduler) if name == OF_APP else _find(name)
    if isinstance(found, type) and issubclass(found, PersistentScheduler):  # which has its entries from the app
        found = app.conf.beat_schedule
    if isinstance(found, type) and issubclass(found, Scheduler):
        return found
    if not isinstance(found, Mapping):
        raise BadSchedule(
            f"that is a {type(found).__name__}, and no dict of entries, nor a class of Celery's schedulers"
        )
    if not found:
        raise BadSchedule("it has no entry")
    scheduler = Scheduler(app, schedule={}, lazy=True)
    for entry, values in found.items():
        try:
            scheduler.update_from_dict({str(entry): _fields(values)})
            _check(scheduler.schedule[str(entry)])
        except BadSchedule as error:
            raise BadSchedule(f"entry {entry!r}: {error}") from None
    if name == OF_APP:
        scheduler.install_default_entries(scheduler.schedule)
    return scheduler


def missed_of(entry: ScheduleEntry) -> Missed:
    """Return what is done about ticks of an entry that were missed; raises BadSchedule."""
    value = entry.options.get(MISSED, Missed.ONCE)
    try:
        return Missed(value)
    except ValueError:
        raise BadSchedule(f"its option missed is {value!r}, but must be one of: {', '.join(Missed)}") from None


def _check(entry: ScheduleEntry) -> None:
    """Raise BadSchedule for what can't be sent, or would be for ever."""
    missed_of(entry)
    every = getattr(entry.schedule, "run_every", None)
    if isinstance(every, timedelta) and every < SHORTEST:
        raise BadSchedule(
            f"its schedule is {every.total_seconds():g} s, and {SHORTEST.total_seconds():g} s is the shortest"
        )


def _find(name: str) -> Any:
    module, _, attribute = name.partition(":")
    found: Any = importlib.import_module(module)
    if not hasattr(found, attribute):
        raise BadSchedule(f"module {module} has no {attribute}")
    return getattr(found, attribute)


def _fields(values: Any) -> dict[str, Any]:
    """Return the fields of an entry, its task by name; raises BadSchedule."""
    if not isinstance(values, Mapping):
        raise BadSchedule(f"it is a {type(values).__name__}, and must be a dict with 'task' and 'schedule'")
    missing = [field for field in ("task", "schedule") if field not in values]
    if missing:
        raise BadSchedule(f"it has no {missing[0]!r}")
    unknown = sorted(set(map(str, values)) - KINDS.keys())
    if unknown:
        raise BadSchedule(f"nothing is known of {unknown[0]!r}; there are {', '.join(sorted(KINDS))}")
    for field, value in values.items():
        if not isinstance(value, KINDS[field]) and value is not None:
            raise BadSchedule(f"its {field} is {value!r}, and must be {WORDS[field]}")
    return {**values, "task": _name(values["task"])}


def _name(task: Any) -> str:
    """Return the name of a task, which may be given as a task, or a contract; raises BadSchedule."""
    is_task = isinstance(task, Task) or (isinstance(task, type) and issubclass(task, Task))
    name = task.name if is_task else task
    if not isinstance(name, str) or not name:
        raise BadSchedule(f"its task is {task!r}, and must be {WORDS['task']}")
    return name
