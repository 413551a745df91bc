"""A project's own app: whether it can be hosted as it is, and by which queues."""

from __future__ import annotations

import importlib
import importlib.util
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from types import ModuleType
from typing import Any

from celery import Celery

from celery_delivery.broker.urls import brokers, is_embedded
from celery_delivery.contract.limits import time_limits
from celery_delivery.topology.queues import has_dead_letters

from .. import projects
from ..spec import FORCED
from ..suggestion import suggestion
from ..threads import names, running
from .caveats import caveats, own_pool
from .importing import Emit, import_or_report, last_line, report, says_it_all, whole_traceback
from .patience import patience
from .routes import Routing, routing

DJANGO = "DJANGO_SETTINGS_MODULE"
TRANSPORTS = ("amqp", "amqps", "pyamqp", "rabbitmq", "redis", "rediss")


def examine(name: str, consume: Sequence[str], emit: Emit) -> dict[str, Celery]:
    """Emit each queue of an app that is to be consumed from; return the app by queue, nothing where it can't be hosted.

    name: as `celery -A` has it. consume: names of queues, none for all.
    """
    before = running()
    app = _find(name, emit)
    if app is None or not is_loaded("app", name, app, emit) or not has_transport("app", name, app, emit):
        return {}
    threads = names(running() - before)
    found = routing(app)
    chosen = _chosen(name, app, found, consume, emit)
    for queue, tasks in chosen.items():
        serve(name, queue, tasks, app, threads, emit)
    for text in (*found.untold.values(), *_unknown(app, found, chosen)):
        emit({"caveat": text})
    tell(name, app, chosen, emit)
    return dict.fromkeys(chosen, app)


def serve(hosted: str, queue: str, tasks: Sequence[str], app: Any, threads: str, emit: Emit) -> None:
    """Emit a queue that is to be consumed from; `hosted` is what its worker finds the app by."""
    emit({"served": {"name": queue, "tasks": tasks, "app": hosted}})
    limits = time_limits(app.conf, [type(app.tasks[each]) for each in tasks])
    letters = has_dead_letters(app, queue)
    emit({"demands": {"queue": queue, "limits": limits, "threads": threads, "letters": letters}})
    emit({"patience": patience(queue, [app.tasks[each] for each in tasks], app)})


def tell(name: str, app: Any, chosen: Mapping[str, Sequence[str]], emit: Emit) -> None:
    """Emit what does not hold for the tasks of an app, which are given by their queues."""
    emit({"own": own_pool(app)})
    for text in caveats(name, app, chosen):
        emit({"caveat": text})


def _unknown(app: Any, found: Routing, chosen: Mapping[str, Sequence[str]]) -> Iterator[str]:
    """Yield the names given to `make_safe` that are no queue's."""
    wanted = getattr(app, "safe_queues", None)
    for queue in sorted((wanted and wanted.queues) or ()):
        if queue not in found.queues and queue not in chosen:
            advice = suggestion(queue, tuple(found.queues), shown=repr) or "Correct it."
            yield f"make_safe names the queue {queue!r}, and neither task_queues nor a route has it. {advice}"


def _find(name: str, emit: Emit) -> Any:
    module = import_or_report(_module_of(name), "app", name, emit)
    if module is None:
        return None
    try:
        found = projects.find(name)
    except AttributeError:
        found = None
    except BaseException as error:  # of another module, such as that of a package's app
        if getattr(error, "name", "") != name:  # which is Celery's last guess
            report(emit, "app", name, f"loading it fails: {last_line(error)}.", whole_traceback(error))
            return None
        found = None
    if not isinstance(found, Celery):
        what = "there is no app" if found is None else f"that is a {type(found).__name__}, and no Celery app"
        report(emit, "app", name, f"{what}. {_apps_of(name, module)}")
        return None
    return found


def _module_of(name: str) -> str:
    """Return the module that a name is, or begins with: without a colon its last part may be an attribute."""
    module, colon, _ = name.partition(":")
    parent = module.rpartition(".")[0]
    if colon or not parent:
        return module
    try:
        return module if importlib.util.find_spec(module) is not None else parent
    except ModuleNotFoundError as error:  # of the parent, or since the parent is no package
        return parent if error.name == module else module
    except BaseException:  # the import that comes tells why
        return module


def _apps_of(name: str, module: ModuleType) -> str:
    apps = sorted(each for each, value in vars(module).items() if isinstance(value, Celery))
    if not apps:
        return f"Module {module.__name__} has none: name the one that `celery -A` is given."
    advice = suggestion(name.rpartition(":")[2], apps, shown=repr)
    return advice or f"Module {module.__name__} has {', '.join(apps)}."


def is_loaded(subject: str, name: str, app: Any, emit: Emit) -> bool:
    """Have an app load all that it names; report why that fails, as a problem of the setting that leads to it."""
    emit({"importing": name})
    try:
        projects.load(app)
        dict(app.conf)  # all of it: a setting that is none is told by whoever reads it
        _ = app.amqp.queues
    except BaseException as error:  # user code may raise anything
        if says_it_all(error):
            report(emit, "variable", name, str(error))
            return False
        settings = os.environ.get(DJANGO, "")
        if isinstance(error, ModuleNotFoundError) and error.name and f"{settings}.".startswith(f"{error.name}."):
            text = f"{DJANGO} is {settings!r}, but there is no module {error.name}. Correct it, or CELERY_AGENT_PATH."
            report(emit, "variable", name, text)
            return False
        if isinstance(error, ModuleNotFoundError) and error.name:
            text = f"it needs a module {error.name}, and there is none. Correct the name, or install it for {sys.executable}."
        else:
            text = f"loading it fails: {last_line(error)}. Mend it."
        report(emit, subject, name, text, whole_traceback(error))
        return False
    return True


def has_transport(subject: str, name: str, app: Any, emit: Emit) -> bool:
    """Tell whether an app's broker is of a kind that is supported; report one that is not."""
    for url in brokers(app):
        scheme = url.partition("://")[0]
        if scheme not in TRANSPORTS and not is_embedded(url):
            known = ", ".join(f"{each}://" for each in TRANSPORTS)
            report(emit, subject, name, f"its broker_url begins with {scheme!r}, and supported are {known}.")
            return False
    try:
        _ = app.connection_for_read().transport
    except Exception as error:  # of a library that is missing, or too old
        report(emit, subject, name, f"its broker can't be spoken to: {last_line(error)}.", whole_traceback(error))
        return False
    return True


def _chosen(name: str, app: Any, found: Routing, consume: Sequence[str], emit: Emit) -> Mapping[str, Sequence[str]]:
    """Return the tasks by the queues that are to be consumed from; report those that there are not."""
    queues = found.queues
    chosen = {}
    for written in consume:
        queue = written.removeprefix(FORCED)
        if queue in queues:
            chosen[queue] = queues[queue]
        elif queue == written:
            known = f"Its queues are {', '.join(sorted(queues))}."
            advice = suggestion(queue, tuple(queues), shown=repr) or known
            text = f"neither task_queues nor a route of {name} has it. {advice} If tasks are sent there by name only: +{queue}"
            report(emit, "consume", queue, text)
        elif app.conf.task_create_missing_queues:
            chosen[queue] = []
        else:
            text = f"{name} has task_create_missing_queues=False, and no such queue in its task_queues. Add it there."
            report(emit, "consume", written, text)
    return chosen or queues
