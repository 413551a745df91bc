"""The kinds of text that settings hold, and the messages about a text that doesn't fit.

A message goes on after the variable's name: "CELERY_AGENT_TASKS" + " is empty. …".
"""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from typing import Annotated

from pydantic import AfterValidator, BeforeValidator, Field

from agent.guest.spec import FORCED, OF_APP

_MODULE = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)*")
_TASK = re.compile(rf"{_MODULE.pattern}:[^\W\d]\w*")
_APP = re.compile(rf"{_MODULE.pattern}(:{_MODULE.pattern})?")


def upper_case(text: object) -> object:
    """Return text in upper case; anything else as it is."""
    return text.upper() if isinstance(text, str) else text


def _items(separator: str) -> BeforeValidator:
    def split(text: object) -> object:
        if not isinstance(text, str):
            return text
        items = tuple(item.strip() for item in text.split(separator))
        if not any(items):
            return ()
        items = items if items[-1] else items[:-1]  # a separator behind the last one, as lists of many lines have it
        if not all(items):
            raise ValueError(
                f"has nothing {_place(separator, items)}. Name what is missing there, or leave the {separator!r} out."
            )
        return items

    return BeforeValidator(split)


def _place(separator: str, items: Sequence[str]) -> str:
    behind = items[: items.index("")]
    return f"behind {behind[-1]!r} and its {separator!r}" if behind else f"before its first {separator!r}"


def _none_if_empty(text: object) -> object:
    return None if text == "" else text


def _each_once(items: tuple[str, ...]) -> tuple[str, ...]:
    repeated = next((item for item in items if items.count(item) > 1), None)
    if repeated is not None:
        raise ValueError(f"names {repeated!r} twice. Name it once.")
    return items


def _task_classes(tasks: tuple[str, ...]) -> tuple[str, ...]:
    for task in tasks:
        if not _TASK.fullmatch(task):
            module, _, name = task.rpartition(".")
            advice = f"Write {module}:{name}" if _TASK.fullmatch(f"{module}:{name}") else "Write package.module:Class"
            raise ValueError(f"names {task!r}, which is not module:Class. {advice}.")
    return tasks


def _app(name: str) -> str:
    if name and not _APP.fullmatch(name):
        raise ValueError(f"is {name!r}, which names no app. Write package.module:app, as for celery -A.")
    return name


def _schedule(name: str) -> str:
    if name and name != OF_APP and not _TASK.fullmatch(name):
        raise ValueError(f"is {name!r}, which names no entries. Write package.module:NAME, or app.")
    return name


def _consumed(names: tuple[str, ...]) -> tuple[str, ...]:
    if not all(name.removeprefix(FORCED) for name in names):
        raise ValueError(f"names a queue without a name. Write it behind the {FORCED!r}.")
    return names


def _modules(names: tuple[str, ...]) -> tuple[str, ...]:
    for name in names:
        if not _MODULE.fullmatch(name):
            raise ValueError(f"names {name!r}, which is no module. Write package.module, with commas between them.")
    return names


def _module(name: str) -> str:
    if not _MODULE.fullmatch(name):
        raise ValueError(f"is {name!r}, which is no module. Write package.module.")
    return name


def _folders(paths: tuple[str, ...]) -> tuple[str, ...]:
    for path in paths:
        if not os.path.isabs(path):
            raise ValueError(f"names {path!r}, which is not absolute. Write it from '/', with ':' between two.")
        if not os.path.isdir(path):
            raise ValueError(f"names {path!r}, which is {_what_is(path)}. Name the folder that holds the packages.")
        if not os.access(path, os.R_OK | os.X_OK):
            raise ValueError(f"names {path!r}, which this user can't read. Let the agent's user read it.")
    return paths


def _interpreter(path: str) -> str:
    if not os.path.isabs(path):
        raise ValueError(
            f"is {path!r}, which is not absolute. Write the path of the interpreter, such as /srv/venv/bin/python."
        )
    if not os.path.isfile(path):
        raise ValueError(
            f"is {path!r}, which is {_what_is(path)}. Make the virtual environment, or name its bin/python."
        )
    if not os.access(path, os.X_OK):
        raise ValueError(
            f"is {path!r}, which this user can't execute. Name a Python interpreter that the agent's user can run."
        )
    return path


def _what_is(path: str) -> str:
    if os.path.isdir(path):
        return "a folder"
    return "a file" if os.path.exists(path) else "not there"


TaskClasses = Annotated[tuple[str, ...], _items(","), AfterValidator(_each_once), AfterValidator(_task_classes)]
App = Annotated[str, AfterValidator(_app)]
Schedule = Annotated[str, AfterValidator(_schedule)]
Names = Annotated[tuple[str, ...], _items(","), AfterValidator(_each_once)]
Consumed = Annotated[tuple[str, ...], _items(","), AfterValidator(_each_once), AfterValidator(_consumed)]
Modules = Annotated[tuple[str, ...], _items(","), AfterValidator(_each_once), AfterValidator(_modules)]
Folders = Annotated[tuple[str, ...], _items(":"), AfterValidator(_each_once), AfterValidator(_folders)]
Module = Annotated[str, AfterValidator(_module)]
Interpreter = Annotated[str, AfterValidator(_interpreter)]
Seconds = Annotated[float, Field(allow_inf_nan=False)]
OptionalSeconds = Annotated[float | None, Field(allow_inf_nan=False), BeforeValidator(_none_if_empty)]
OptionalCount = Annotated[int | None, BeforeValidator(_none_if_empty)]
