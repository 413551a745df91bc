"""Imports of user code that report instead of raising."""

from __future__ import annotations

import importlib
import importlib.util
import sys
import traceback
from collections.abc import Callable, Mapping
from types import ModuleType

from ..library import PACKAGE

OLDEST_CELERY = "5.5"  # the first that takes from quorum queues, which every promise is built on

Emit = Callable[[Mapping[str, object]], None]


def report(emit: Emit, subject: str, item: str, text: str, detail: str = "") -> None:
    """Emit a problem; see `discovery` for what its parts mean."""
    emit({"problem": {"subject": subject, "item": item, "text": text, "detail": detail}})


def import_or_report(name: str, subject: str, item: str, emit: Emit) -> ModuleType | None:
    """Return the module, or report why it can't be imported and return None."""
    emit({"importing": name})
    try:
        return importlib.import_module(name)
    except BaseException as error:  # SystemExit, too, is only a reason why it can't be imported
        if says_it_all(error):
            report(emit, "variable", item, str(error))
        else:
            report(emit, subject, item, _failure(name, error), whole_traceback(error))
        return None


def how_to_get_celery() -> str:
    """Return the command that puts a Celery that works into this interpreter."""
    # A redis-py that is there may be one that kombu refuses.
    extra = "[redis]" if importlib.util.find_spec("redis") else ""
    return f"Install it: {sys.executable} -m pip install 'celery{extra}>={OLDEST_CELERY}'"


def last_line(error: BaseException) -> str:
    """Return the last line of an error's traceback, and the place in user code that it comes from."""
    line = traceback.format_exception_only(error)[-1].strip()
    if isinstance(error, SyntaxError):
        return f"{line} ({error.filename}, line {error.lineno})"
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if not _is_machinery(frame.filename)]
    return f"{line} ({frames[-1].filename}, line {frames[-1].lineno})" if frames else line


def whole_traceback(error: BaseException) -> str:
    """Return an error's traceback as Python prints it, from the first line of user code on."""
    start = error.__traceback__
    while start is not None and start.tb_next is not None and _is_machinery(start.tb_frame.f_code.co_filename):
        start = start.tb_next
    return "".join(traceback.format_exception(type(error), error, start))


def says_it_all(error: BaseException) -> bool:
    """Tell whether an error is one that the library raises for a variable: with its name and what to do."""
    return isinstance(error, ValueError) and type(error).__module__.partition(".")[0] == PACKAGE


def _failure(name: str, error: BaseException) -> str:
    absent = error.name if isinstance(error, ModuleNotFoundError) and error.name else ""
    if absent == name == "celery":
        return f"it has no Celery. {how_to_get_celery()}"
    if absent and name.partition(".")[0] == absent:
        return f"there is no module {absent}. {_where_to_put(absent)}"
    if absent and f"{name}.".startswith(f"{absent}."):
        parent, _, child = absent.rpartition(".")
        return f"{parent} has no module {child} ({_place(parent)}). Correct the name, or add the module."
    advice = f"Install {absent.partition('.')[0]} for {sys.executable}." if absent else "Mend the module."
    return f"importing {name} fails: {last_line(error)}. {advice}"


def _where_to_put(name: str) -> str:
    return f"Put the folder that holds {name} into CELERY_AGENT_PATH, or install it for {sys.executable}."


def _place(package: str) -> str:
    module = sys.modules.get(package)
    paths = list(getattr(module, "__path__", ()))
    return str(paths[0] if paths else getattr(module, "__file__", "built in"))


def _is_machinery(filename: str) -> bool:
    return filename.startswith("<frozen ") or filename in (__file__, importlib.__file__)
