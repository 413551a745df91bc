"""Specs and plans for tests of decisions."""

from dataclasses import replace

from agent.decide.plan import Plan
from agent.guest.spec import TemplateSpec, WorkerSpec

SPEC = WorkerSpec(
    queue="emails",
    tasks=("mail.tasks:Send",),
    pool="prefork",
    concurrency=1,
    prefetch=1,
    time_limit=None,
    soft_time_limit=None,
    max_tasks_per_child=None,
    max_memory_per_child=None,
    max_deaths=3,
    log_level="INFO",
    start_timeout=5,
    warm_timeout=60,
    cold_timeout=10,
)
TEMPLATE = TemplateSpec(python="/usr/bin/python3", path=("/srv/code",), environment=(("A", "1"),))


def plan(**concurrency: int) -> Plan:
    """Return a plan with one worker per queue; the numbers make specs differ."""
    workers = tuple(replace(SPEC, queue=queue, concurrency=number) for queue, number in sorted(concurrency.items()))
    return Plan(instance="magic", broker="amqp://localhost//", embedded=False, template=TEMPLATE, workers=workers)
