"""The importing half of the planner: loads the task classes in the user's interpreter, and reports what it finds.

One JSON request comes on stdin; lines of JSON go to stdout, of which user code sees nothing: what it prints goes to
stderr. The lines, in this order:

    {"started": "3.11.7"}                            the interpreter runs this
    {"importing": "package.module"}                  before each import: the last one hangs, or ended the process
    {"celery": "5.7.0"}                              what user code will see
    {"task": "module:Class", "name": …, "queue": …}  for each class that can be hosted
    {"broker": "amqp://me:**@host:5672//", "embedded": false}
    {"delivery": "what is promised less, or not at all"}                 one for each reason
    {"demands": {"queue", "limits", "threads"}}                          one for each queue; what its tasks ask of its pool
    {"problem": {"subject": …, "item": …, "text": …, "detail": …}}       whenever there is one
    {"done": true}
    …                                                what the step says that the request wants to be taken then

A problem's subject is what the operator has to look at: "python", "celery_config", "preload", "tasks", "queue", or
"variable", one that the settings module reads, whose text stands alone. The item is the module, class or queue.
"""

from __future__ import annotations

import faulthandler
import importlib
import json
import os
import sys
import zoneinfo
from collections.abc import Mapping
from types import ModuleType
from typing import Any

from ..descriptors import opened, unshareable_since
from ..library import PACKAGE, misfit
from ..threads import left_since, running
from .importing import OLDEST_CELERY, Emit, how_to_get_celery, import_or_report, report


def main() -> None:
    """Serve the request on stdin and end the process, whatever threads user code has left behind."""
    emit = _private_stdout()
    request = json.load(sys.stdin)
    faulthandler.enable()
    faulthandler.dump_traceback_later(request["timeout"] * 0.9)  # so that it is known where an import hangs
    emit({"started": ".".join(str(number) for number in sys.version_info[:3])})
    candidates = _load_candidates(request, emit)
    apps = {} if candidates is None else candidates.examine(request["tasks"], request["celery_config"], emit)
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


def _load_candidates(request: Mapping[str, Any], emit: Emit) -> ModuleType | None:
    """Return the module that looks at task classes, once what it needs has been found in this interpreter."""
    sys.path[:0] = request["path"]
    if not _find_celery(emit) or not _find_library(emit):
        return None
    own = opened()
    settings = request["celery_config"]
    module = _import_before_a_fork(settings, "celery_config", own, emit)
    if module is None or not _is_of_today(module, emit):
        return None
    for name in request["preload"]:
        _import_before_a_fork(name, "preload", own, emit)
    return importlib.import_module(".candidates", __package__)


def _import_before_a_fork(name: str, subject: str, own: frozenset[int], emit: Emit) -> ModuleType | None:
    """Return a module that the template imports before it forks, or report why that can't be and return None."""
    before = running()  # the watchdog of `faulthandler` is among them
    module = import_or_report(name, subject, name, emit)
    text = left_since(before) or unshareable_since(own)
    if text and module is not None:
        report(emit, subject, name, text)
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
