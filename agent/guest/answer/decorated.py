"""Decorated tasks that an operator names one by one: whether their queues can be hosted, by the app that they belong to."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any

from celery import Celery, Task

from ..spec import AND
from . import apps as of_app
from .importing import Emit, report
from .routes import Routing, routing

MOST_NAMED = 3


def examine(items: Mapping[str, Task], app_name: str, emit: Emit) -> dict[str, Celery]:
    """Emit each queue that these tasks are routed to; return their app by queue, nothing of one that can't be hosted.

    items: the tasks as the operator names them. app_name: the app that is hosted beside them, "" for none.
    """
    found: dict[str, Celery] = {}
    for app in dict.fromkeys(task.app for task in items.values()):
        own = {item: task for item, task in items.items() if task.app is app}
        found |= _of_one_app(app, own, app_name, emit)
    return found


def _of_one_app(app: Any, items: Mapping[str, Task], app_name: str, emit: Emit) -> dict[str, Celery]:
    first = next(iter(items))
    if not app.set_as_current and app.main == "default":  # what Celery makes where nobody has made one
        text = (
            f"{first.partition(':')[2]} is a shared task, and importing its module makes no app. Import the app in the "
            "module's package, as Celery's documentation has it, or name it in CELERY_AGENT_APP."
        )
        report(emit, "tasks", first, text)
        return {}
    if not of_app.is_loaded("tasks", first, app, emit) or not of_app.has_transport("tasks", first, app, emit):
        return {}
    routes = routing(app)
    by_queue = _by_queue(items, routes, emit)
    if not _are_all_named(by_queue, items, routes, emit):
        return {}
    chosen = {queue: routes.queues[queue] for queue in by_queue}
    for queue, named in by_queue.items():
        hosted = AND.join(filter(None, (app_name, *named)))
        of_app.serve(hosted, queue, chosen[queue], app, "", emit)
    of_app.tell(_name_of(app, first), app, chosen, emit)
    return dict.fromkeys(chosen, app)


def _by_queue(items: Mapping[str, Task], routes: Routing, emit: Emit) -> dict[str, list[str]]:
    """Return the items by the queues that their tasks are routed to; report those of which that can't be told."""
    found: dict[str, list[str]] = {}
    for item, task in items.items():
        queues = [queue for queue, names in routes.queues.items() if task.name in names]
        if not queues:
            report(emit, "tasks", item, routes.untold.get(task.name, "its app does not have it."))
        for queue in queues:
            found.setdefault(queue, []).append(item)
    return found


def _are_all_named(by_queue: Mapping[str, list[str]], items: Mapping[str, Task], routes: Routing, emit: Emit) -> bool:
    """Tell whether the queues have no other tasks, which a worker would be given too; report those that have."""
    named = {task.name for task in items.values()}
    are_all = True
    for queue, own in by_queue.items():
        others = [name for name in routes.queues[queue] if name not in named]
        if others:
            more = f" and {len(others) - MOST_NAMED} more" if len(others) > MOST_NAMED else ""
            text = (
                f"its queue {queue!r} has other tasks of its app too: {', '.join(others[:MOST_NAMED])}{more}. Name all of "
                "them, or host the app, by CELERY_AGENT_APP."
            )
            report(emit, "tasks", own[0], text)
            are_all = False
    return are_all


def _name_of(app: Any, item: str) -> str:
    """Return what `celery -A` may be given for an app: the module of the item's package that has it."""
    package = item.partition(":")[0].partition(".")[0]
    names = [
        f"{module}:{name}"
        for module, content in sorted(sys.modules.items())
        if f"{module}.".startswith(f"{package}.")
        for name, value in vars(content).items()
        if value is app
    ]
    return min(names, key=lambda name: (".celery:" not in name, len(name)), default=str(app.main))
