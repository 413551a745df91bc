"""`agent config INSTANCE`: the settings of an instance, without secrets; or all settings that there are."""

from __future__ import annotations

import argparse
import os
from collections.abc import Iterator
from pathlib import Path

from agent.cli.options import add_env_file, json_text
from agent.cli.plain import plain
from agent.config.envfile import read_env_file
from agent.config.instances import folders
from agent.config.reference import agent_entries, example, markdown, queue_entries
from agent.config.settings import QueueSettings
from agent.config.validation import Configuration, read_settings
from agent.config.variables import DEFAULTS, PREFIX, SEPARATOR, variable_of
from agent.errors import OK, AgentError

_JOINED_BY = {"path": ":"}


def add_options(parser: argparse.ArgumentParser) -> None:
    """Say what the command does, and add its options."""
    parser.description = (
        "Prints the settings that an env file makes, with the defaults for what it leaves out. Of variables that are "
        "handed on to the tasks only the names are shown."
    )
    parser.add_argument("instance", metavar="INSTANCE", nargs="?", help="not with --example or --markdown")
    add_env_file(parser)
    output = parser.add_mutually_exclusive_group()
    output.add_argument("--json", action="store_true", help="the same as one JSON value")
    output.add_argument("--example", action="store_true", help="an env file to start from, instead of an instance's")
    output.add_argument(
        "--markdown", action="store_true", help="the reference of all settings, instead of an instance's"
    )
    parser.set_defaults(run=_config)


def _config(options: argparse.Namespace) -> int:
    if options.example:
        print(example(), end="")
    elif options.markdown:
        print(markdown(), end="")
    else:
        configuration = read_settings(read_env_file(_path(options)))
        print(_json(configuration) if options.json else "\n".join(map(plain, _lines(configuration))))
    return OK


def _path(options: argparse.Namespace) -> Path:
    if options.env_file is not None:
        return Path(options.env_file).absolute()
    if options.instance is None:
        raise AgentError("Name an instance, or ask for --example or --markdown.")
    return folders(os.environ).env_file(options.instance)


def _lines(configuration: Configuration) -> Iterator[str]:
    settings = configuration.settings
    yield f"# {configuration.file.path}"
    for entry in agent_entries():
        value = getattr(settings, entry.field)
        yield _assignment(
            f"{PREFIX}{entry.name}", entry.field, value, _origin(entry.field in settings.model_fields_set)
        )
    for entry in queue_entries():
        value = getattr(settings.defaults, entry.field)
        origin = _origin(entry.field in settings.defaults.model_fields_set)
        yield _assignment(f"{DEFAULTS}{SEPARATOR}{entry.name}", entry.field, value, origin)
    for queue, own in settings.queues.items():
        for field in sorted(own.model_fields_set):
            yield _assignment(variable_of(queue, field), field, getattr(own, field), "")
    handed_on = [variable.name for variable in configuration.file.for_tasks]
    if handed_on:
        yield f"# handed on to the tasks: {', '.join(handed_on)}"


def _origin(given: object) -> str:
    return "" if given else "  # default"


def _assignment(variable: str, field: str, value: object, origin: str) -> str:
    return f"{variable}={_written(field, value)}{origin}"


def _written(field: str, value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, tuple):
        return _JOINED_BY.get(field, ",").join(value)
    return f"{value:g}" if isinstance(value, float) else str(value)


def _json(configuration: Configuration) -> str:
    settings = configuration.settings
    return json_text(
        env_file=str(configuration.file.path),
        **settings.model_dump(mode="json", exclude={"defaults", "queues"}),
        defaults=settings.defaults.model_dump(mode="json"),
        queues={name: _queue(queue) for name, queue in settings.queues.items()},
        handed_on=[variable.name for variable in configuration.file.for_tasks],
    )


def _queue(queue: QueueSettings) -> dict[str, object]:
    return queue.model_dump(mode="json", exclude_unset=True)
