"""The tasks that an operator names: whether each class can be hosted, by which queue, and on which broker.

Decorated tasks are told from classes here, and looked at by `decorated`.
"""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from types import ModuleType
from typing import Any

from celery import Celery, Task

from celery_delivery.apps import create_app_from, queue_of
from celery_delivery.broker.urls import brokers, is_embedded
from celery_delivery.contract.contracts import Contracts
from celery_delivery.contract.fit import check_implementation
from celery_delivery.contract.limits import time_limits
from celery_delivery.errors import ContractError
from celery_delivery.settings.profile import profile_of
from celery_delivery.settings.weakened import weakened
from celery_delivery.topology.delays import PREFIX
from celery_delivery.topology.queues import DEAD, LONGEST_QUEUE, has_dead_letters

from ..suggestion import suggestion
from ..threads import names, running
from .importing import Emit, import_or_report, last_line, report, whole_traceback
from .patience import patience

NOTHING_PROMISED = (
    "{} has no delivery_profile, so that tasks have Celery's defaults: one that a killed worker was running is lost. "
    'Add the line delivery_profile = "safe" to it; see docs/contracts.md.'
)


def need_contracts(tasks: Sequence[str], celery_config: str, emit: Emit) -> bool:
    """Tell whether a settings module that is not there is needed: by a class, or by a module that imports from its package."""
    for item in tasks:
        module_name, _, name = item.partition(":")
        emit({"importing": module_name})
        try:
            found = getattr(importlib.import_module(module_name), name, None)
        except BaseException as error:  # told when it is imported for good
            if getattr(error, "name", "") == celery_config.partition(".")[0]:
                return True
        else:
            if _is_task_class(found):
                return True
    return False


def examine(tasks: Sequence[str], celery_config: str, app_name: str, emit: Emit) -> dict[str, Celery]:
    """Emit each task that can be hosted; return their apps by queue, none where a class fails.

    celery_config: the settings module, beside which contracts are. app_name: the app that is hosted beside them, "" for none.
    """
    contracts = Contracts.beside(celery_config)
    of_apps: dict[str, Task] = {}
    queues: dict[str, list[type[Task]]] = {}
    threads: dict[str, str] = {}  # that importing a module has started
    for item in tasks:
        before = running()
        found = _find(item, contracts, emit)
        if isinstance(found, Task):
            of_apps[item] = found
        elif found is not None:
            queue = queue_of(found)
            queues.setdefault(queue, []).append(found)
            threads.setdefault(found.__module__, names(running() - before))
            emit({"task": item, "name": found.name, "queue": queue})
    # Before there are apps of ours, which are then the current ones.
    of_decorated: dict[str, Celery] = {}
    if of_apps:  # imported here: it knows of projects' apps, and most nodes have none
        of_decorated = importlib.import_module(".decorated", __package__).examine(of_apps, app_name, emit)
    apps: dict[str, Celery] = {}
    for queue, classes in queues.items():
        app = _app(queue, classes, celery_config, emit)
        if app is None:  # what fails for one, such as a wrong celery_config, fails for all
            return {}
        apps[queue] = app
        limits = time_limits(app.conf, classes)
        started = ", ".join(sorted({threads[each.__module__] for each in classes} - {""}))
        letters = has_dead_letters(app, queue)
        emit({"demands": {"queue": queue, "limits": limits, "threads": started, "letters": letters}})
        emit({"patience": patience(queue, [app.tasks[each.name] for each in classes], app)})
        for text in weakened(app.conf, classes):
            emit({"delivery": text})
    if apps:
        app = next(iter(apps.values()))
        urls = brokers(app)
        if profile_of(app.conf) is None and not all(is_embedded(url) for url in urls):
            emit({"delivery": NOTHING_PROMISED.format(celery_config)})
    return apps | of_decorated


def _find(item: str, contracts: Contracts, emit: Emit) -> type[Task] | Task | None:
    module_name, _, class_name = item.partition(":")
    module = import_or_report(module_name, "tasks", item, emit)
    if module is None:
        return None
    found = getattr(module, class_name, None)
    if isinstance(found, Task):
        present = getattr(found, "_get_current_object", None)
        return found if present is None else present()
    text = _absence(module, class_name) if found is None else _unfitness(found, class_name, contracts)
    if text is None:
        return found
    report(emit, "tasks", item, text)
    return None


def _absence(module: ModuleType, class_name: str) -> str:
    classes = sorted(name for name, value in vars(module).items() if _is_task_class(value))
    others = f"It has {', '.join(classes)}." if classes else "It has no task class at all."
    return f"module {module.__name__} has no {class_name}. {suggestion(class_name, classes) or others}"


def _unfitness(found: Any, class_name: str, contracts: Contracts) -> str | None:
    if not _is_task_class(found):
        return f"{class_name} is no celery.Task. Let it inherit from its contract."
    if not isinstance(found.name, str) or not found.name:
        return f"{class_name} has no name. Set `name` in its contract."
    try:
        check_implementation(found, contracts)
    except ContractError as error:
        return str(error)
    return _bad_queue(queue_of(found))


def _bad_queue(queue: Any) -> str | None:
    if not isinstance(queue, str) or not 0 < len(queue.encode()) <= LONGEST_QUEUE:
        return f"its queue is {queue!r}, and a broker takes 1 to {LONGEST_QUEUE} bytes of text. Set another `queue`."
    if queue.startswith("amq."):
        return f"its queue is {queue!r}, and the broker keeps names in 'amq.' for itself. Set another `queue`."
    if queue.endswith(DEAD) or queue.startswith(PREFIX):
        own = f"of its own in {PREFIX!r} and with {DEAD!r} at the end"
        return f"its queue is {queue!r}, and the library has queues {own}. Set another `queue`."
    return None


def _is_task_class(value: object) -> bool:
    return isinstance(value, type) and issubclass(value, Task) and value is not Task


def _app(queue: str, classes: Sequence[type[Task]], celery_config: str, emit: Emit) -> Celery | None:
    try:
        app = create_app_from(classes, celery_config)
    except BaseException as error:  # user code: a class may do anything when it is bound to an app
        report(emit, "queue", queue, f"making its Celery app fails: {last_line(error)}", whole_traceback(error))
        return None
    return app
