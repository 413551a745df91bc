"""Checks an instance's configuration without starting anything: what is right, what is wrong, what to do."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path

from agent.config.credentials import with_credentials
from agent.config.discovery import Discovery, Probe, StoreProbe, discover_and_probe
from agent.config.envfile import EnvFile, read_env_file
from agent.config.planner import plan_of, template_of
from agent.config.problems import InvalidConfiguration
from agent.config.validation import Configuration, read_settings
from agent.control import client
from agent.decide.plan import Plan
from agent.errors import CONFIGURATION, FAILURE, OK, AgentError, NotRunning
from agent.guest.secrets import is_secret, names_secret_file, redacted
from agent.guest.spec import WorkerSpec
from agent.guest.suitability import unsuited
from agent.operate.broker_faults import EXPOSED, FRAGILE, UNDECLARED, UNLIKE, unreachable

MEASURED_CELERY = "5.7."  # the releases whose faults were measured and mended

_OTHERS_READ = 0o004
_OTHERS_WRITE = 0o002


class Level(StrEnum):
    """How bad a finding is."""

    GOOD = "ok"
    WARNING = "warn"
    BAD = "FAIL"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at.

    subject: a word or two: "settings", "tasks", "broker" …
    text: one line, with what to do where there is something to do.
    detail: more for whoever asks, such as a traceback.
    exit_status: the least that the whole check ends with.
    """

    level: Level
    subject: str
    text: str
    detail: str = ""
    exit_status: int = OK


def check(instance: str, path: Path, environment: Mapping[str, str]) -> Iterator[Finding]:
    """Yield findings about an instance in the order of looking; the first failure of a step is the last step.

    environment: the agent's own, as tasks inherit it.
    """
    try:
        file = read_env_file(path)
        yield _good(
            "env file", f"{path}: {len(file.for_agent)} settings, {len(file.for_tasks)} variables for the tasks"
        )
        yield from _warnings(file)
        configuration = read_settings(file)
        template = template_of(configuration, with_credentials(environment, instance))
    except InvalidConfiguration as error:
        yield from _bad("settings", error)
        return
    settings = configuration.settings
    discovery = discover_and_probe(template, settings.tasks, settings.import_timeout)
    yield from _interpreter(configuration, discovery)
    try:
        plan = plan_of(instance, configuration, template, discovery)
    except InvalidConfiguration as error:
        yield from _bad("tasks", error)
    else:
        yield from _queues(plan, discovery)
        for text in discovery.delivery:
            yield _warning("delivery", text)
    for probe in discovery.probes:
        text = redacted(probe.text, template.environment)
        yield _broker(instance, discovery, Probe(probe.broker, probe.fault, " ".join(text.split())))
    for store in discovery.stores:
        yield _results(configuration, replace(store, text=redacted(store.text, template.environment)))


def running(instance: str, folder: Path) -> Iterator[Finding]:
    """Yield what the instance does now that runs in a runtime folder; nothing where none does.

    The exit status is of the configuration, which may be what mends it.
    """
    try:
        status = client.status(folder)
    except NotRunning:
        return
    except AgentError as error:
        yield _warning("running", str(error))
        return
    troubles = [] if status.state == "running" else [status.summary]
    troubles += [f"{queue.queue} runs nothing: {why}" for queue in status.queues if (why := queue.trouble())]
    if status.reload_error is not None:
        troubles.append(f"The last reload was refused: {status.reload_error}")
    for text in troubles:
        yield _warning("running", f"{text}. `agent status {instance}` says more.")
    if not troubles:
        yield _good("running", status.summary)


def exit_status(findings: tuple[Finding, ...]) -> int:
    """Return the exit status of a check: 0, 1 where a broker can't be reached, 78 where the configuration is wrong."""
    return max((finding.exit_status for finding in findings), default=OK)


def _warnings(file: EnvFile) -> Iterator[Finding]:
    mode = _mode(file.path)
    secrets = [variable.name for variable in file.variables if is_secret(variable.name, variable.value)]
    if mode & _OTHERS_WRITE:
        yield _warning("env file", f"{file.path} can be changed by every user. chmod o-w {file.path}")
    if mode & _OTHERS_READ and secrets:
        text = f"{file.path} can be read by every user, and holds {', '.join(secrets)}. chmod o-rwx {file.path}"
        yield _warning("env file", text)
    for variable in file.variables:
        if names_secret_file(variable.name, variable.value) and _mode(Path(variable.value)) & _OTHERS_READ:
            text = f"{file.place(variable.name)}: {variable.value} can be read by every user, and {variable.name} names it."
            yield _warning("env file", f"{text} chmod o-rwx {variable.value}")
    for variable in file.repeated:
        counting = _line(file, variable.name)
        text = f"{file.path}:{variable.line}: {variable.name} comes again in line {counting}, which counts."
        yield _warning("env file", text)
    if file.unlike_shell:
        names = ", ".join(f"{variable.name} (line {variable.line})" for variable in file.unlike_shell)
        text = f"{file.path}: a shell that reads this file takes other values, or none, for {names}."
        yield _warning(
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
        yield _good("python", f"{python}: Python {discovery.python}, Celery {discovery.celery}")
        if not discovery.celery.startswith(MEASURED_CELERY):
            text = f"Celery {discovery.celery} is newer than {MEASURED_CELERY}x, with which the agent is tested."
            yield _warning("python", text)


def _queues(plan: Plan, discovery: Discovery) -> Iterator[Finding]:
    for worker in plan.workers:
        yield _good("queue", f"{worker.queue}: {', '.join(worker.tasks)} ({_how(worker)})")
        for demands in discovery.demands:
            if demands.queue == worker.queue:
                for text in unsuited(worker.pool, demands.limits, demands.threads):
                    yield _warning("queue", f"{worker.queue}: {text}")


def _how(worker: WorkerSpec) -> str:
    limit = "default time limit" if worker.time_limit is None else f"time limit {worker.time_limit:g} s"
    return f"{worker.pool}, concurrency {worker.concurrency}, {limit}"


def _broker(instance: str, discovery: Discovery, probe: Probe) -> Finding:
    broker = probe.broker or discovery.broker
    if probe.fault == EXPOSED:
        return _warning(
            "broker",
            f"{broker} accepts connections, but without TLS to {probe.text}: who is on the network between reads tasks and "
            "the password. Set RABBITMQ_TLS=1; see docs/broker.md.",
        )
    if probe.fault == FRAGILE:
        return _warning(
            "letters",
            f"{broker} is {probe.text}: a message with a false header x-death could stop the dead letters of all its queues, "
            "and only what reaches a worker is kept from it. RabbitMQ 4.0 has not that fault; see docs/broker.md.",
        )
    if probe.fault == UNDECLARED:
        text = (
            f"{broker} has no queue {probe.text!r}, and CELERY_TASKS_DECLARE=0 lets nobody declare it: have the operator "
            f"import what `agent topology {instance} --definitions` prints."
        )
        return Finding(Level.BAD, "broker", text, exit_status=FAILURE)
    if probe.fault == UNLIKE:
        queue, _, reason = probe.text.partition(": ")
        text = (
            f"{broker} has a queue {queue!r} of another kind, and refuses ours: {reason}. Let its tasks run out, and "
            f"`rabbitmqctl delete_queue {queue}`: it is declared anew. Or name another `queue` in the contract."
        )
        return Finding(Level.BAD, "broker", text, exit_status=FAILURE)
    if probe.fault:
        return Finding(Level.BAD, "broker", unreachable(broker, probe.fault, probe.text), exit_status=FAILURE)
    if discovery.embedded:
        return _warning(
            "broker", f"{broker} is the embedded broker: for trying out; it can lose tasks. Unset CELERY_TASKS_BROKER."
        )
    return _good("broker", f"{broker} accepts connections")


def _results(configuration: Configuration, probe: StoreProbe) -> Finding:
    if not probe.fault:
        return _good("results", f"{probe.store} takes results")
    advice = {
        "library": f"Install what it needs for {configuration.settings.python}, or correct CELERY_TASKS_RESULTS.",
        "folder": "Make the folder, or let the agent's user write to it.",
        "silent": "Is its host up, and does a firewall let this node through?",
        "refused": "Start it, or correct CELERY_TASKS_RESULTS.",
    }[probe.fault]
    text = f"{probe.store} takes no results: {probe.text.rstrip('.')}. {advice} {probe.costs}."
    return Finding(Level.BAD, "results", text, exit_status=FAILURE)


def _bad(subject: str, error: InvalidConfiguration) -> Iterator[Finding]:
    for problem in error.problems:
        yield Finding(Level.BAD, subject, problem.line, problem.detail, CONFIGURATION)


def _good(subject: str, text: str) -> Finding:
    return Finding(Level.GOOD, subject, text)


def _warning(subject: str, text: str) -> Finding:
    return Finding(Level.WARNING, subject, text)
