"""What an instance is to run: a template, and one worker per queue, as frozen values.

The planner process makes a `Plan` out of the env file; the daemon carries it out. Between the two it travels as JSON.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

from agent.errors import ProtocolError


@dataclass(frozen=True, slots=True)
class TemplateSpec:
    """What the template process is started with.

    python: the interpreter that imports user code (CELERY_AGENT_PYTHON).
    path: folders put in front of `sys.path` (CELERY_AGENT_PATH).
    preload: modules imported once, before any fork (CELERY_AGENT_PRELOAD).
    environment: variables for user code, as sorted (name, value) pairs; they may hold secrets.
    """

    python: str
    path: tuple[str, ...] = ()
    preload: tuple[str, ...] = ()
    environment: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class WorkerSpec:
    """One Celery worker for one queue.

    tasks: the task classes it serves, as "module:Class".
    pool: "prefork", "threads" or "solo".
    concurrency: tasks at a time.
    prefetch: messages fetched ahead per slot of concurrency (Celery's worker_prefetch_multiplier).
    time_limit, soft_time_limit: seconds for one task, prefork only; None: no limit.
    max_tasks_per_child: tasks after which a pool child is replaced, prefork only.
    max_memory_per_child: KiB of resident memory after which a pool child is replaced, prefork only.
    log_level: of Celery's and the tasks' loggers.
    start_timeout: seconds from the fork to the first report.
    warm_timeout, cold_timeout: seconds a warm, then a cold shutdown may take before the next, harder step.
    """

    queue: str
    tasks: tuple[str, ...]
    pool: str
    concurrency: int
    prefetch: int
    time_limit: float | None
    soft_time_limit: float | None
    max_tasks_per_child: int | None
    max_memory_per_child: int | None
    log_level: str
    start_timeout: float
    warm_timeout: float
    cold_timeout: float


@dataclass(frozen=True, slots=True)
class Plan:
    """Everything an instance runs.

    broker: the broker's URL without its password, for people.
    embedded: whether that is the embedded broker, which promises nothing.
    workers: sorted by queue, one per queue.
    """

    instance: str
    broker: str
    embedded: bool
    template: TemplateSpec
    workers: tuple[WorkerSpec, ...]

    def worker(self, queue: str) -> WorkerSpec | None:
        """Return the spec of a queue's worker, or None where the plan has no such queue."""
        return next((worker for worker in self.workers if worker.queue == queue), None)


@dataclass(frozen=True, slots=True)
class Difference:
    """What a reload does to the queues, each name in exactly one of the four."""

    added: tuple[str, ...]
    removed: tuple[str, ...]
    changed: tuple[str, ...]
    unchanged: tuple[str, ...]


def difference(old: Plan, new: Plan) -> Difference:
    """Compare two plans queue by queue.

    A worker changes with its own settings, and with the interpreter, path or environment that its code sees. A changed
    preload alone changes no worker: it only decides where an import happens.
    """
    before = {worker.queue: worker for worker in old.workers}
    after = {worker.queue: worker for worker in new.workers}
    same_code = _seen_by_code(old.template) == _seen_by_code(new.template)
    common = [queue for queue in after if queue in before]
    unchanged = [queue for queue in common if same_code and before[queue] == after[queue]]
    return Difference(
        added=tuple(queue for queue in after if queue not in before),
        removed=tuple(queue for queue in before if queue not in after),
        changed=tuple(queue for queue in common if queue not in unchanged),
        unchanged=tuple(unchanged),
    )


def encode_template(template: TemplateSpec) -> dict[str, Any]:
    """Return a template spec as JSON types."""
    return asdict(template)


def decode_template(value: Mapping[str, Any]) -> TemplateSpec:
    """Return the template spec that `encode_template` made a mapping of; raises ProtocolError."""
    try:
        return TemplateSpec(
            python=value["python"],
            path=tuple(value["path"]),
            preload=tuple(value["preload"]),
            environment=tuple((name, text) for name, text in value["environment"]),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise ProtocolError(f"a template spec was expected: {error!r}") from error


def encode_plan(plan: Plan) -> str:
    """Return a plan as one line of JSON."""
    return json.dumps(asdict(plan))


def decode_plan(text: str) -> Plan:
    """Return the plan that `encode_plan` made a line of; raises ProtocolError."""
    try:
        value = json.loads(text)
        names = {field.name for field in fields(WorkerSpec)}
        return Plan(
            instance=value["instance"],
            broker=value["broker"],
            embedded=value["embedded"],
            template=decode_template(value["template"]),
            workers=tuple(
                WorkerSpec(**{**{name: worker[name] for name in names}, "tasks": tuple(worker["tasks"])})
                for worker in value["workers"]
            ),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise ProtocolError(f"a plan was expected: {error!r}") from error


def _seen_by_code(template: TemplateSpec) -> tuple[object, ...]:
    return template.python, template.path, template.environment
