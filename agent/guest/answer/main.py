"""The importing half of the planner: loads task classes, and the app, in the user's interpreter, and reports what it finds.

One JSON request comes on stdin; lines of JSON go to stdout, of which user code sees nothing: what it prints goes to
stderr. The lines, in this order:

    {"started": "3.11.7"}                            the interpreter runs this
    {"importing": "package.module"}                  before each import: the last one hangs, or ended the process
    {"celery": "5.7.0"}                              what user code will see
    {"task": "module:Class", "name": …, "queue": …}  for each class that can be hosted
    {"served": {"name": …, "tasks": […], "app": …}}  for each queue of an app that is to be consumed from
    {"own": {"pool": …, "concurrency": …}}           what the app says of them, null for nothing
    {"caveat": "what does not hold for the app"}     one for each
    {"broker": "amqp://me:**@host:5672//", "embedded": false}
    {"way": {"queue": …, "exchange": …, "dead_letters": …}}              for each queue of which it is known, see `ways`
    {"delivery": "what is promised less, or not at all"}                 one for each reason
    {"demands": {"queue", "limits", "threads", "letters"}}               one for each queue; what its tasks ask of its pool
    {"patience": …}                                  one for each queue, see `patience`
    {"code": [[name, file, modified, size], …]}      the project's modules that were imported, see `code`
    {"problem": {"subject": …, "item": …, "text": …, "detail": …}}       whenever there is one
    {"done": true}
    …                                                what the step says that the request wants to be taken then

A problem's subject is what the operator has to look at: "python", "celery_config", "preload", "tasks", "app", "consume",
"schedule", "queue", or "variable", one that user code reads, whose text stands alone. The item is the module, class, app,
schedule or queue.
"""

from __future__ import annotations

import faulthandler
import gc
import importlib
import json
import os
import sys
import zoneinfo
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import astuple
from functools import partial
from types import ModuleType
from typing import Any

from .. import code
from ..descriptors import opened, unshareable_since
from ..library import PACKAGE, absence, is_there, lend, misfit
from ..projects import find, is_preloaded, load
from ..threads import left_since, running
from .culprits import watched
from .importing import OLDEST_CELERY, Emit, how_to_get_celery, import_or_report, report


def main() -> None:
    """Serve the request on stdin and end the process, whatever threads user code has left behind."""
    emit = _private_stdout()
    request = json.load(sys.stdin)
    faulthandler.enable()
    faulthandler.dump_traceback_later(request["timeout"] * 0.9)  # so that it is known where an import hangs
    emit({"started": ".".join(str(number) for number in sys.version_info[:3])})
    apps = _examine(request, emit)
    if apps:
        _tell_of_code(request["code"], emit)
    faulthandler.cancel_dump_traceback_later()
    emit({"done": True})
    if apps and request["step"]:
        importlib.import_module(f".{request['step']['module']}", __package__).take(request["step"], apps, emit)
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)


def _private_stdout() -> Emit:
    channel = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)

    def emit(line: Mapping[str, object]) -> None:
        channel.write(json.dumps(line) + "\n")
        channel.flush()

    return emit


def _examine(request: Mapping[str, Any], emit: Emit) -> dict[str, Any]:
    """Return the Celery apps that can be hosted, by queue, once what they need has been found in this interpreter."""
    sys.path[:0] = request["path"]
    tasks, app, settings = request["tasks"], request["app"], request["celery_config"]
    has_settings = bool(settings) and is_there(settings)
    is_lent = not has_settings and lend()
    if not _find_celery(emit) or not _find_library(emit):
        return {}
    own = opened()
    if has_settings:
        module = _import_before_a_fork(settings, "celery_config", own, emit)
        if module is None or not _is_of_today(module, emit):
            return {}
    for name in request["preload"]:
        load = partial(_load, app) if is_preloaded(app, [name]) else None
        _import_before_a_fork(name, "preload", own, emit, load)
    # Imported here, since they need what has been found.
    of_app: dict[str, Any] = {}
    if app:  # first: shared tasks belong to the app that is there
        _collect_garbage()
        of_app = importlib.import_module(".apps", __package__).examine(app, request["consume"], emit)
    apps: dict[str, Any] = {}
    if tasks:
        candidates = importlib.import_module(".candidates", __package__)
        if not has_settings and candidates.need_contracts(tasks, settings, emit):
            if is_lent:
                report(emit, "python", PACKAGE, absence())
            else:
                import_or_report(settings, "celery_config", settings, emit)
            return {}
        _collect_garbage()
        apps = candidates.examine(tasks, settings, app, emit)
    apps |= of_app
    if apps:
        _look_at_schedule(request["schedule"], app, of_app, apps, emit)
        emit(importlib.import_module(".probe", __package__).told(apps.values()))
        for way in importlib.import_module(".ways", __package__).ways(apps):
            emit({"way": way})
    return apps


def _tell_of_code(descriptor: int | None, emit: Emit) -> None:
    found = code.sources(sys.modules)
    if descriptor is not None:
        code.write(descriptor, found)
    emit({"code": [astuple(each) for each in found]})


def _look_at_schedule(schedule: str, app: str, of_app: Mapping[str, Any], apps: Mapping[str, Any], emit: Emit) -> None:
    if schedule:
        importlib.import_module(".timetable", __package__).examine(schedule, apps, emit)
    elif of_app:
        for text in importlib.import_module(".caveats", __package__).unsent(app, next(iter(of_app.values()))):
            emit({"caveat": text})


def _collect_garbage() -> None:
    """Begin with it, as is usual; what has been imported is left out. The template does without for as long."""
    gc.freeze()
    gc.enable()


def _load(app: str) -> None:
    """Have an app load what it can; why it can't is told when it is examined."""
    with suppress(BaseException):
        load(find(app))


def _import_before_a_fork(
    name: str, subject: str, own: frozenset[int], emit: Emit, then: Callable[[], None] | None = None
) -> ModuleType | None:
    """Return a module that the template imports before it forks, or report why that can't be and return None.

    then: what the template does when it has imported the module.
    """
    before = running()  # the watchdog of `faulthandler` is among them
    with watched(before, own, name.partition(".")[0]) as culprits:
        module = import_or_report(name, subject, name, emit)
        if module is not None and then is not None:
            then()
    text = left_since(before) or unshareable_since(own)
    if text and module is not None:
        others = [each for each in culprits.names() if each != name]
        report(emit, subject, name, f"{text} It is done by {', '.join(others)}." if others else text)
        return None
    return module


def _find_celery(emit: Emit) -> bool:
    celery = import_or_report("celery", "python", "celery", emit)
    if celery is None:
        return False
    version = getattr(celery, "__version__", None)
    if version is None:
        where = getattr(celery, "__file__", None) or "a folder"
        report(emit, "python", "celery", f"it imports celery from {where}, which is not Celery. Rename that module.")
    elif _numbers(version) < _numbers(OLDEST_CELERY):
        report(emit, "python", "celery", f"its Celery is {version}, older than {OLDEST_CELERY}. {how_to_get_celery()}")
    elif not _has_time_zones():
        text = "it finds no time zones, and a worker ends without. Install them: apt-get install tzdata"
        report(emit, "python", "celery", text)
    else:
        emit({"celery": version})
        return True
    return False


def _has_time_zones() -> bool:
    # kombu's timers look UTC up when they are imported. A minimal Debian has no tzdata, and Celery does not ask for it.
    try:
        zoneinfo.ZoneInfo("UTC")
    except zoneinfo.ZoneInfoNotFoundError:
        return False
    return True


def _find_library(emit: Emit) -> bool:
    text = misfit()
    if text is not None:
        report(emit, "python", PACKAGE, text)
    return text is None


def _is_of_today(settings: ModuleType, emit: Emit) -> bool:
    """Report a shared folder from before the library was a package of its own: its settings name modules of the folder."""
    folder = settings.__name__.rpartition(".")[0]
    if getattr(settings, "worker_consumer", None) != f"{folder}.consumer:Consumer":
        return True
    text = f"{settings.__file__} is from before {PACKAGE} was a package of its own."
    text += " docs/contracts.md says how to leave it behind."
    report(emit, "celery_config", settings.__name__, text)
    return False


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(number) for number in version.split(".")[:2])
