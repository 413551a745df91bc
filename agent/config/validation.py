"""The check of what an env file assigns: settings that hold, or one line for each thing that is wrong."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from pydantic import ValidationError

from agent.config.assignments import Assignment, FieldPath, assignments, tree
from agent.config.envfile import EnvFile
from agent.config.problems import InvalidConfiguration, Problem
from agent.config.reference import entry
from agent.config.settings import Settings
from agent.config.variables import PREFIX
from agent.guest.suggestion import suggestion
from agent.guest.values import dataclass

LONGEST_VALUE = 100  # characters of a wrong value that are shown


@dataclass(frozen=True, slots=True)
class Configuration:
    """An env file whose settings are valid by themselves; whether they fit the queues is not known yet."""

    file: EnvFile
    settings: Settings
    assignments: tuple[Assignment, ...]

    def where(self, *path: str) -> str:
        """Return what to begin a problem's line with: the place and the variable that set a field."""
        return _where(path, self.assignments, self.file)


def read_settings(file: EnvFile) -> Configuration:
    """Return the settings that a file makes; raises InvalidConfiguration with all its problems."""
    found, problems = assignments(file)
    try:
        settings = Settings(**tree(found))
    except ValidationError as error:
        problems = (*problems, *(Problem(_line(each, found, file)) for each in error.errors(include_url=False)))
        raise InvalidConfiguration(problems) from None
    configuration = Configuration(file, settings, found)
    problems = (*problems, *_nothing_to_host(configuration))
    if problems:
        raise InvalidConfiguration(problems)
    return configuration


def _nothing_to_host(configuration: Configuration) -> Iterator[Problem]:
    settings = configuration.settings
    if not settings.tasks and not settings.app:
        what = "empty" if "tasks" in settings.model_fields_set else "missing"
        yield Problem(
            f"{configuration.where('tasks')} is {what}. Name the task classes to host, as package.module:Class, with commas "
            f"between them; or a Celery app, by {PREFIX}APP."
        )
    if settings.consume and not settings.app:
        yield Problem(f"{configuration.where('consume')} names queues of an app, but {PREFIX}APP names none. Set it.")


def _line(error: Any, found: Sequence[Assignment], file: EnvFile) -> str:
    path = tuple(str(part) for part in error["loc"])
    where = _where(path, found, file)
    written = [assignment.value for assignment in found if assignment.path == path] or [error["input"]]
    known = entry(path[-1])
    match error["type"]:
        case "value_error":
            return f"{where} {error['ctx']['error']}"
        case _:
            return f"{where} is {_shown(written[-1])}, but must be {known.takes}.{_similar(error, known.takes)}"


def _where(path: FieldPath, found: Sequence[Assignment], file: EnvFile) -> str:
    given = [assignment for assignment in found if assignment.path == path]
    return str(given[-1]) if given else f"{file.path}: {PREFIX}{'__'.join(path).upper()}"


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= LONGEST_VALUE else text[: LONGEST_VALUE - 1] + "…"


def _similar(error: Any, takes: str) -> str:
    if error["type"] != "enum":
        return ""
    choices = takes.removeprefix("one of ").split(", ")
    return f" {suggestion(str(error['input']), choices)}".rstrip()
