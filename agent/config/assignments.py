"""What an env file assigns to each setting, with the place where it does: the way from variables to fields and back."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from typing import Any

from agent.config.envfile import EnvFile, Variable
from agent.config.instances import CONFIG_VARIABLE, RUNTIME_VARIABLE
from agent.config.problems import Problem
from agent.config.reference import agent_entries, queue_entries
from agent.config.variables import DEFAULTS, PREFIX, QUEUES, SEPARATOR
from agent.guest.suggestion import suggestion
from agent.guest.values import dataclass

FieldPath = tuple[str, ...]

_SETTINGS = {f"{PREFIX}{entry.name}": entry.field for entry in agent_entries()}
_QUEUE_SETTINGS = {entry.name: entry.field for entry in queue_entries()}


@dataclass(frozen=True, slots=True)
class Assignment:
    """A value for one setting.

    path: of the field: ("tasks",), ("defaults", "pool") or ("queues", <queue as it is written>, "pool").
    variable: what the operator calls it.
    place: "file:line".
    """

    path: FieldPath
    value: str | None
    variable: str
    place: str

    def __str__(self) -> str:
        """Return where the assignment is, to begin a problem's line with."""
        return f"{self.place}: {self.variable}"


def assignments(file: EnvFile) -> tuple[tuple[Assignment, ...], tuple[Problem, ...]]:
    """Return what a file's variables assign, and a problem for each that assigns nothing."""
    found: list[Assignment] = []
    problems: list[Problem] = []
    for variable in file.for_agent:
        for each in _read(variable, file.place(variable.name)):
            if isinstance(each, Problem):
                problems.append(each)
            else:
                found.append(each)
    return tuple(found), tuple(problems)


def tree(found: Iterable[Assignment]) -> dict[str, Any]:
    """Return assignments as nested mappings, as the settings take them."""
    root: dict[str, Any] = {}
    for assignment in found:
        node = root
        for name in assignment.path[:-1]:
            node = node.setdefault(name, {})
        node[assignment.path[-1]] = assignment.value
    return root


def _read(variable: Variable, place: str) -> Iterator[Assignment | Problem]:
    name = variable.name
    if name in _SETTINGS:
        yield Assignment((_SETTINGS[name],), variable.value, name, place)
    elif name == QUEUES:
        yield from _read_json(variable, place)
    elif name.startswith(QUEUES + SEPARATOR):
        yield _read_queue(variable, place)
    elif name.startswith(DEFAULTS + SEPARATOR) and name.removeprefix(DEFAULTS + SEPARATOR) in _QUEUE_SETTINGS:
        field = _QUEUE_SETTINGS[name.removeprefix(DEFAULTS + SEPARATOR)]
        yield Assignment(("defaults", field), variable.value, name, place)
    elif name in (CONFIG_VARIABLE, RUNTIME_VARIABLE):
        yield Problem(
            f"{place}: {name} says where env files are, so one can't set it. Set it in the agent's environment."
        )
    else:
        yield Problem(f"{place}: {name} is no setting of the agent. {_similar(name)}")


def _read_queue(variable: Variable, place: str) -> Assignment | Problem:
    queue, separator, setting = variable.name.removeprefix(QUEUES + SEPARATOR).rpartition(SEPARATOR)
    if not separator or not queue:
        return Problem(
            f"{place}: {variable.name} names no queue. Write {QUEUES}{SEPARATOR}<queue>{SEPARATOR}<SETTING>."
        )
    if setting not in _QUEUE_SETTINGS:
        return Problem(
            f"{place}: {variable.name} ends in {setting}, which is no setting of a queue. {_similar_setting(setting)}"
        )
    return Assignment(("queues", queue, _QUEUE_SETTINGS[setting]), variable.value, variable.name, place)


def _read_json(variable: Variable, place: str) -> Iterator[Assignment | Problem]:
    wanted = 'Write {"<queue>": {"<SETTING>": <value>}}.'
    try:
        queues = json.loads(variable.value)
    except ValueError as error:
        yield Problem(f"{place}: {QUEUES} is not JSON: {error}. {wanted}")
        return
    except RecursionError:
        yield Problem(f"{place}: {QUEUES} is not JSON: it is nested too deeply. {wanted}")
        return
    if not isinstance(queues, dict):
        yield Problem(f"{place}: {QUEUES} is no JSON object. {wanted}")
        return
    for queue, settings in queues.items():
        if not isinstance(settings, dict):
            yield Problem(f"{place}: {QUEUES} has no JSON object for {queue!r}. {wanted}")
            continue
        for setting, value in settings.items():
            yield _read_json_value(queue, setting, value, place)


def _read_json_value(queue: str, setting: str, value: object, place: str) -> Assignment | Problem:
    field = _QUEUE_SETTINGS.get(setting.upper())
    if field is None:
        return Problem(
            f"{place}: {QUEUES} has {setting!r} for {queue!r}, which is no setting of a queue. "
            f"{_similar_setting(setting)}"
        )
    if isinstance(value, bool) or not isinstance(value, str | int | float | None):
        return Problem(f"{place}: {QUEUES} has {json.dumps(value)} as {setting} of {queue!r}. Give a number or a text.")
    text = "" if value is None else str(value)
    return Assignment(("queues", queue, field), text, f"{QUEUES}[{json.dumps(queue)}].{setting}", place)


def _similar(name: str) -> str:
    known = [*_SETTINGS, QUEUES, *(f"{DEFAULTS}{SEPARATOR}{setting}" for setting in _QUEUE_SETTINGS)]
    upper = name.upper()
    if upper.removeprefix(PREFIX) in _QUEUE_SETTINGS:
        return f"Did you mean {DEFAULTS}{SEPARATOR}{upper.removeprefix(PREFIX)}?"
    return suggestion(upper, known, cutoff=0.8) or "`agent config --example` shows them all."


def _similar_setting(setting: str) -> str:
    return suggestion(setting, _QUEUE_SETTINGS) or f"They are {', '.join(_QUEUE_SETTINGS)}."
