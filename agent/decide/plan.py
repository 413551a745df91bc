"""What an instance is to run: a template, and one worker per queue, as frozen values.

The planner process makes a `Plan` out of the env file; the daemon carries it out. Between the two it travels as JSON.
"""

from __future__ import annotations

import json
from dataclasses import asdict, replace

from agent.errors import ProtocolError
from agent.guest.decoding import parse, read
from agent.guest.spec import ADJUSTABLE, Source, TemplateSpec, WorkerSpec
from agent.guest.values import dataclass


@dataclass(frozen=True, slots=True)
class Way:
    """What leads to a queue at its broker, and where what it could not get done goes; each empty where it is not known."""

    queue: str
    exchange: str
    dead_letters: str


@dataclass(frozen=True, slots=True)
class Plan:
    """Everything an instance runs.

    broker: the broker's URL without its password, for people.
    embedded: whether that is the embedded broker, which promises nothing.
    workers: sorted by queue, one per queue.
    code: the modules of the project that their tasks were found in, as far as these import them.
    ways: of the queues of which something is known.
    """

    instance: str
    broker: str
    embedded: bool
    template: TemplateSpec
    workers: tuple[WorkerSpec, ...]
    code: tuple[Source, ...] = ()
    ways: tuple[Way, ...] = ()


def app_of(plan: Plan) -> str:
    """Return the app of a project that a plan hosts: by its name, or by the decorated tasks that are named; "" for none."""
    return plan.template.app or next((worker.app for worker in plan.workers if worker.app), "")


@dataclass(frozen=True, slots=True)
class Difference:
    """What a reload does to the queues, each name in exactly one of the first five.

    changed: their workers are replaced; adjusted: their workers live on, with other limits or timeouts.
    outdated: those of the last two whose code has changed since their workers began.
    """

    added: tuple[str, ...]
    removed: tuple[str, ...]
    changed: tuple[str, ...]
    adjusted: tuple[str, ...]
    unchanged: tuple[str, ...]
    outdated: tuple[str, ...] = ()


def difference(old: Plan | None, new: Plan) -> Difference:
    """Compare two plans queue by queue; against None all of the new one is added.

    A worker changes with its own settings, and with the interpreter, path or environment that its code sees. What its
    process never sees, because the agent and the kernel enforce it, is adjusted while it runs. A changed preload alone
    changes no worker: it only decides where an import happens.
    """
    old = old or replace(new, workers=())
    before = {worker.queue: worker for worker in old.workers}
    after = {worker.queue: worker for worker in new.workers}
    same_code = sees_alike(old, new)
    common = [queue for queue in after if queue in before]
    unchanged = [queue for queue in common if same_code and before[queue] == after[queue]]
    alike = [queue for queue in common if same_code and adjusted(before[queue], after[queue]) == after[queue]]
    return Difference(
        added=tuple(queue for queue in after if queue not in before),
        removed=tuple(queue for queue in before if queue not in after),
        changed=tuple(queue for queue in common if queue not in alike),
        adjusted=tuple(queue for queue in alike if queue not in unchanged),
        unchanged=tuple(unchanged),
    )


def sees_alike(old: Plan, new: Plan) -> bool:
    """Say whether code sees the same interpreter, path, settings and environment by both plans."""
    return _seen_by_code(old.template) == _seen_by_code(new.template)


def newer(old: tuple[Source, ...], new: tuple[Source, ...]) -> tuple[str, ...]:
    """Return the files of modules that have been saved anew, or lie elsewhere, as far as both have the module."""
    found = {each.name: each for each in new}
    return tuple(found[each.name].file for each in old if found.get(each.name, each) != each)


def adjusted(old: WorkerSpec, new: WorkerSpec) -> WorkerSpec:
    """Return a worker's spec with what can be adjusted while it runs."""
    return replace(old, **{name: getattr(new, name) for name in ADJUSTABLE})


def encode_plan(plan: Plan) -> str:
    """Return a plan as one line of JSON."""
    return json.dumps(asdict(plan))


def decode_plan(text: str) -> Plan:
    """Return the plan that `encode_plan` made a line of; raises ProtocolError."""
    try:
        return read(Plan, parse(text))
    except ValueError as error:
        raise ProtocolError(f"a plan was expected: {error}") from error


def _seen_by_code(template: TemplateSpec) -> tuple[object, ...]:
    return template.python, template.path, template.celery_config, template.environment, template.edition
