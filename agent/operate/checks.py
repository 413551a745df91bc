"""Checks an instance's configuration without starting anything: what is right, what is wrong, what to do."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from agent.config.credentials import hidden, with_credentials
from agent.config.discovery import Discovery, discover, discover_and_probe
from agent.config.envfile import EnvFile, read_env_file
from agent.config.hosting import MOST_LISTED, is_set
from agent.config.instances import folders
from agent.config.planner import plan_of, template_of
from agent.config.problems import InvalidConfiguration
from agent.config.validation import Configuration, read_settings
from agent.config.variables import DEFAULTS, SEPARATOR
from agent.control import client
from agent.decide.plan import Plan
from agent.errors import CONFIGURATION, OK, AgentError, NotRunning
from agent.guest.secrets import is_secret, names_secret_file, redacted
from agent.guest.spec import KEEP, TemplateSpec, WorkerSpec, lease_of
from agent.guest.suitability import UNKEPT, unsuited
from agent.operate.advice import explained
from agent.operate.broker_findings import of_broker, of_letters, of_store
from agent.operate.findings import Finding, Level, good, warning
from agent.operate.neighbours import trust_domain
from agent.operate.patience import overruns
from agent.operate.room import lacking

NEWEST_CELERY = (5, 7)  # whose faults were measured and mended

MOST_NAMED = 3  # tasks of a queue of an app, which may have hundreds

_OTHERS_READ = 0o004
_OTHERS_WRITE = 0o002


def check(instance: str, path: Path, environment: Mapping[str, str]) -> Iterator[Finding]:
    """Yield findings about an instance in the order of looking; the first failure of a step is the last step.

    environment: the agent's own, as tasks inherit it.
    """
    return _check(instance, path, environment, discover_and_probe)


def check_without_broker(instance: str, path: Path, environment: Mapping[str, str]) -> Iterator[Finding]:
    """Yield the same where there is neither a broker nor a result store, as where code is tested."""
    return _check(instance, path, environment, _discover_alone)


def _discover_alone(
    template: TemplateSpec, tasks: Sequence[str], timeout: float, consume: Sequence[str], _sends: object, _lease: object
) -> Discovery:
    return discover(template, tasks, timeout, consume)


def _check(
    instance: str, path: Path, environment: Mapping[str, str], find: Callable[..., Discovery]
) -> Iterator[Finding]:
    try:
        file = read_env_file(path)
        yield good("env file", f"{path}: {len(file.for_agent)} settings, {len(file.for_tasks)} variables for the tasks")
        yield from _warnings(file)
        if text := hidden(environment, instance):
            yield warning("user", text)
        if shared := trust_domain(folders(environment), instance):
            yield warning("user", shared)
        configuration = read_settings(file)
        template = template_of(configuration, with_credentials(environment, instance))
    except InvalidConfiguration as error:
        yield from _bad("settings", error)
        return
    settings = configuration.settings
    timeout, consume, sends = settings.import_timeout, settings.consume, settings.sends
    discovery = find(template, settings.tasks, timeout, consume, sends, lease_of(instance))
    yield from _interpreter(configuration, discovery)
    try:
        plan = plan_of(instance, configuration, template, discovery)
    except InvalidConfiguration as error:
        yield from _bad("tasks", error)
    else:
        yield from _queues(plan, discovery)
        yield from _app(plan, configuration, discovery)
        for text in overruns(discovery.patience, {each.queue: each.time_limit for each in plan.workers}):
            yield warning("limits", text)
        for text in discovery.delivery:
            yield warning("delivery", text)
    for probe in discovery.probes:
        text = redacted(probe.text, template.environment)
        name = probe.broker or discovery.broker
        yield of_broker(instance, name, discovery.embedded, replace(probe, text=" ".join(text.split())))
    for letters in discovery.letters:
        yield warning("letters", of_letters(instance, letters))
    for store in discovery.stores:
        yield of_store(settings.python, replace(store, text=redacted(store.text, template.environment)))


def running(instance: str, folder: Path) -> Iterator[Finding]:
    """Yield what the instance does now that runs in a runtime folder, or that none does.

    The exit status is of the configuration, which may be what mends it.
    """
    try:
        status = client.status(folder)
    except NotRunning:
        yield good("running", f"{instance} does not run: only its configuration was looked at, and no worker or queue.")
        return
    except AgentError as error:
        yield warning("running", str(error))
        return
    troubles = [] if status.state == "running" else [status.summary]
    troubles += [text for queue in status.queues if (text := explained(queue))]
    if status.reload_error is not None:
        troubles.append(f"The last reload was refused: {status.reload_error}")
    for text in troubles:
        yield warning("running", f"{text.rstrip('.')}. `agent status {instance}` says more.")
    if not troubles:
        yield good("running", status.summary)
    for queue in status.queues:
        if queue.clock:
            yield warning("clock", f"{queue.queue}: {queue.clock}.")
    if text := status.unkept or lacking(status.state_folder):
        yield warning("disk", f"{text}.")


def exit_status(findings: tuple[Finding, ...]) -> int:
    """Return the exit status of a check: 0, 1 where a broker can't be reached, 78 where the configuration is wrong."""
    return max((finding.exit_status for finding in findings), default=OK)


def _warnings(file: EnvFile) -> Iterator[Finding]:
    mode = _mode(file.path)
    secrets = [variable.name for variable in file.variables if is_secret(variable.name, variable.value)]
    if mode & _OTHERS_WRITE:
        yield warning("env file", f"{file.path} can be changed by every user. chmod o-w {file.path}")
    if mode & _OTHERS_READ and secrets:
        text = f"{file.path} can be read by every user, and holds {', '.join(secrets)}. chmod o-rwx {file.path}"
        yield warning("env file", text)
    for variable in file.variables:
        if names_secret_file(variable.name, variable.value) and _mode(Path(variable.value)) & _OTHERS_READ:
            text = f"{file.place(variable.name)}: {variable.value} can be read by every user, and {variable.name} names it."
            yield warning("env file", f"{text} chmod o-rwx {variable.value}")
    for variable in file.repeated:
        counting = _line(file, variable.name)
        text = f"{file.path}:{variable.line}: {variable.name} comes again in line {counting}, which counts."
        yield warning("env file", text)
    if file.unlike_shell:
        names = ", ".join(f"{variable.name} (line {variable.line})" for variable in file.unlike_shell)
        text = f"{file.path}: a shell that reads this file takes other values, or none, for {names}."
        yield warning(
            "env file", f"{text} Write NAME='value', without spaces beside the '=', and end lines as Unix does."
        )


def _mode(path: Path) -> int:
    """Return a file's permissions, or none where it can't be looked at: the tasks' own check says more."""
    try:
        return path.stat().st_mode
    except OSError:
        return 0


def _line(file: EnvFile, name: str) -> int:
    return next(variable.line for variable in file.variables if variable.name == name)


def _interpreter(configuration: Configuration, discovery: Discovery) -> Iterator[Finding]:
    if discovery.celery:
        python = configuration.settings.python
        yield good("python", f"{python}: Python {discovery.python}, Celery {discovery.celery}")
        if tuple(map(int, discovery.celery.split(".")[:2])) > NEWEST_CELERY:
            newest = ".".join(map(str, NEWEST_CELERY))
            text = f"Celery {discovery.celery} is newer than {newest}.x, the newest with which the agent is tested."
            yield warning("python", text)


def _queues(plan: Plan, discovery: Discovery) -> Iterator[Finding]:
    for worker in plan.workers:
        if worker.schedule is not None:
            right = f"one node at a time sends them: who has {worker.queue} on the broker"
            yield good("schedule", f"{worker.schedule.entries}: {right}")
            continue
        yield good("queue", f"{worker.queue}: {_tasks(worker, plan.template.app)} ({_how(worker)})")
        for demands in discovery.demands:
            if demands.queue == worker.queue:
                for text in unsuited(worker.pool, demands.limits, demands.threads, worker.time_limit):
                    yield warning("queue", f"{worker.queue}: {text}")
                if worker.failed == KEEP and not demands.letters:
                    yield warning("queue", f"{worker.queue}: {UNKEPT}")


def _app(plan: Plan, configuration: Configuration, discovery: Discovery) -> Iterator[Finding]:
    """Yield what does not hold for the app as it is, and which of its settings are not used."""
    for text in discovery.caveats:
        yield warning("app", text)
    own = discovery.own
    for field, value in (("pool", own.pool), ("concurrency", own.concurrency)):
        queues = [each.queue for each in plan.workers if each.app and not is_set(configuration, each.queue, field)]
        if value is not None and queues:
            yield warning(
                "app",
                f"worker_{field} is {value!r} in the app's settings, and not used: each queue has the agent's own. Set "
                f"{DEFAULTS}{SEPARATOR}{field.upper()}, or that of single queues.",
            )


def _tasks(worker: WorkerSpec, app: str) -> str:
    if not worker.app or worker.app != app:  # task classes, or decorated tasks that are named one by one
        return ", ".join(worker.tasks)
    if not worker.tasks:
        return f"what {worker.app} sends there by name"
    others = f"{len(worker.tasks) - MOST_NAMED} more" if len(worker.tasks) < MOST_LISTED else "many more"
    more = f" and {others}" if len(worker.tasks) > MOST_NAMED else ""
    return f"{', '.join(worker.tasks[:MOST_NAMED])}{more} of {worker.app}"


def _how(worker: WorkerSpec) -> str:
    default = "the app's time limits" if worker.app else "default time limit"
    limit = default if worker.time_limit is None else f"time limit {worker.time_limit:g} s"
    return f"{worker.pool}, concurrency {worker.concurrency}, {limit}"


def _bad(subject: str, error: InvalidConfiguration) -> Iterator[Finding]:
    for problem in error.problems:
        yield Finding(Level.BAD, subject, problem.line, problem.detail, CONFIGURATION)
