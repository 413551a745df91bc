"""The short-lived process that makes a plan out of an env file.

    python -m agent.config.planner --instance NAME --env-file FILE [--code DESCRIPTOR]

    env file ─> assignments ─> settings ─> task classes and app, imported in the user's interpreter ─> plan

It prints JSON lines: {"template": …} as soon as the settings are known, so that the daemon can warm one meanwhile, then
either {"plan": …} or {"error": {"message": …, "exit_status": …}}. It exits with 0 or that status. The project's code is written
to the descriptor, see `agent.guest.code`.

Where CELERY_AGENT_FOLLOW_CODE is set, as by `agent run --dev`, the plan has the code's edition, so that a reload takes it up.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, astuple, replace
from pathlib import Path

from agent.config.credentials import PRIVATE_PREFIXES, with_credentials
from agent.config.discovery import Discovery, Obstacle, discover
from agent.config.envfile import EnvFile, read_env_file
from agent.config.hosting import workers
from agent.config.instances import FOLLOW_VARIABLE, checked_name
from agent.config.problems import InvalidConfiguration, Problem
from agent.config.scheduling import with_schedule
from agent.config.validation import Configuration, read_settings
from agent.config.variables import is_setting
from agent.decide.plan import Plan, encode_plan
from agent.errors import OK, AgentError
from agent.guest.kernel import die_with_parent
from agent.guest.secrets import redacted
from agent.guest.spec import Source, TemplateSpec, watcher_of

_OTHER_NAME = "Where contracts have another name, say CELERY_AGENT_CELERY_CONFIG=NAME.celery_config."


def main(arguments: Sequence[str] | None = None) -> int:
    """Print a plan, or why there is none; return the exit status."""
    die_with_parent()
    parser = argparse.ArgumentParser(prog="python -m agent.config.planner")
    parser.add_argument("--instance", required=True)
    parser.add_argument("--env-file", type=Path, required=True)
    parser.add_argument("--code", type=int)
    options = parser.parse_args(arguments)
    follows = bool(os.environ.get(FOLLOW_VARIABLE))
    try:
        configuration = read_settings(read_env_file(options.env_file))
        template = template_of(configuration, with_credentials(os.environ, options.instance))
        if not follows:  # the edition is not known yet
            _print(json.dumps({"template": asdict(template)}))
        settings = configuration.settings
        discovery = discover(template, settings.tasks, settings.import_timeout, settings.consume, options.code)
        if follows:
            template = replace(template, edition=edition_of(discovery.code))
        _print(f'{{"plan": {encode_plan(plan_of(options.instance, configuration, template, discovery))}}}')
    except AgentError as error:
        if follows and isinstance(error, InvalidConfiguration):  # who develops wants to see the place at once
            for detail in dict.fromkeys(problem.detail for problem in error.problems):
                os.write(sys.stderr.fileno(), detail.encode(errors="backslashreplace"))
        _print(json.dumps({"error": {"message": str(error), "exit_status": error.exit_status}}))
        return error.exit_status
    return OK


def template_of(configuration: Configuration, environment: Mapping[str, str]) -> TemplateSpec:
    """Return what user code is run with: its interpreter, path, preloads, and its whole environment."""
    settings = configuration.settings
    return TemplateSpec(
        python=settings.python,
        path=settings.path,
        preload=settings.preload,
        celery_config=settings.celery_config if settings.tasks else "",
        app=settings.app,
        schedule=settings.schedule,
        environment=task_environment(configuration.file, environment),
    )


def task_environment(file: EnvFile, environment: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
    """Return the environment of user code: the agent's, without what is private to it, overlaid by the env file's."""
    inherited = {
        name: value
        for name, value in environment.items()
        if not name.startswith(PRIVATE_PREFIXES) and not is_setting(name)
    }
    return tuple(sorted({**inherited, **{variable.name: variable.value for variable in file.for_tasks}}.items()))


def plan_of(instance: str, configuration: Configuration, template: TemplateSpec, discovery: Discovery) -> Plan:
    """Return the plan; raises InvalidConfiguration with all that keeps it from being run."""
    if discovery.obstacles:
        raise InvalidConfiguration(problems_of(configuration, template, discovery.obstacles))
    plan = Plan(
        instance=checked_name(instance),
        broker=discovery.broker,
        embedded=discovery.embedded,
        template=template,
        workers=workers(configuration, discovery.tasks, discovery.queues),
        code=discovery.code,
        ways=discovery.ways,
    )
    watcher = watcher_of(instance)
    if any(worker.queue == watcher for worker in plan.workers):
        text = f"The queue {watcher!r} has the name of the process that watches the queues. Rename it, or the instance."
        raise InvalidConfiguration((Problem(text),))
    return with_schedule(configuration, plan)


def edition_of(code: Sequence[Source]) -> str:
    """Return a text that differs where one of the modules does."""
    import hashlib  # noqa: PLC0415 - few plans need it, and OpenSSL comes with it

    return hashlib.sha256(repr(sorted(astuple(each) for each in code)).encode(errors="backslashreplace")).hexdigest()


def problems_of(
    configuration: Configuration, template: TemplateSpec, obstacles: Sequence[Obstacle]
) -> tuple[Problem, ...]:
    """Return what discovery met as problems: each with its place in the env file, and without secrets."""
    return tuple(
        Problem(
            redacted(_line(configuration, obstacle), template.environment),
            redacted(obstacle.detail, template.environment),
        )
        for obstacle in obstacles
    )


def _line(configuration: Configuration, obstacle: Obstacle) -> str:
    where, item, text = configuration.where, obstacle.item, " ".join(obstacle.text.split())
    match obstacle.subject:
        case "python":
            return f"{where('python')} is {configuration.settings.python!r}, but {text}"
        case "preload" | "tasks" | "app" | "consume" | "schedule":
            return f"{where(obstacle.subject)} names {item!r}, but {text}"
        case "import":
            return _line(configuration, _blamed(configuration, obstacle))
        case "variable":
            return f"{_place_of_a_named_variable(configuration.file, text)}: {text}"
        case "queue":
            return f"{configuration.file.path}: queue {item!r} can't be served: {text}"
        case _:
            advice = f" {_OTHER_NAME}" if text.startswith("there is no module") else ""
            return f"{where('celery_config')} is {item!r}, but {text}{advice}"


def _blamed(configuration: Configuration, obstacle: Obstacle) -> Obstacle:
    """Return an obstacle of an import as one of the setting that names the module."""
    settings, module = configuration.settings, obstacle.item
    task = next((task for task in settings.tasks if task.partition(":")[0] == module), None)
    if task is not None:
        return Obstacle("tasks", task, obstacle.text)
    if module in (settings.app, settings.app.partition(":")[0]):
        return Obstacle("app", settings.app, obstacle.text)
    if module in settings.preload:
        return Obstacle("preload", module, obstacle.text)
    return Obstacle("celery_config" if module == settings.celery_config else "python", module, obstacle.text)


def _place_of_a_named_variable(file: EnvFile, text: str) -> str:
    """Return the place of the variable that an error of the settings module speaks of, else the file's."""
    named = [variable.name for variable in file.for_tasks if variable.name in text]
    return file.place(max(named, key=len)) if named else str(file.path)


def _print(line: str) -> None:
    print(line, flush=True)


if __name__ == "__main__":
    sys.exit(main())
