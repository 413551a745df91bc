"""The process that sends an instance's periodic tasks: supervised as a worker is, with a lease as its queue."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from agent.config.problems import InvalidConfiguration, Problem
from agent.config.validation import Configuration
from agent.decide.plan import Plan, app_of
from agent.guest.spec import OF_APP, ScheduleSpec, WorkerSpec, lease_of

WARM_TIMEOUT = 10.0  # seconds; what is being sent is confirmed in 6 s, or not at all


def with_schedule(configuration: Configuration, plan: Plan) -> Plan:
    """Return a plan with the process that CELERY_AGENT_SCHEDULE asks for; raises InvalidConfiguration."""
    entries = configuration.settings.schedule
    if not entries:
        return plan
    problems = tuple(_problems(configuration, plan))
    if problems:
        raise InvalidConfiguration(problems)
    defaults = configuration.settings.defaults
    classes = [worker.tasks[0] for worker in plan.workers if not worker.app]
    sender = classes[0] if classes and entries != OF_APP else ""
    spec = WorkerSpec(
        queue=lease_of(plan.instance),
        tasks=(entries,),
        pool="solo",
        concurrency=1,
        prefetch=None,
        time_limit=None,
        soft_time_limit=None,
        max_tasks_per_child=None,
        max_memory_per_child=None,
        max_deaths=defaults.max_deaths,
        log_level=defaults.log_level.value,
        start_timeout=defaults.start_timeout,
        warm_timeout=WARM_TIMEOUT,
        cold_timeout=defaults.cold_timeout,
        hung_timeout=defaults.hung_timeout,
        schedule=ScheduleSpec(entries, sender, "" if sender else app_of(plan)),
    )
    return replace(plan, workers=tuple(sorted((*plan.workers, spec), key=lambda each: each.queue)))


def _problems(configuration: Configuration, plan: Plan) -> Iterator[Problem]:
    where, settings = configuration.where("schedule"), configuration.settings
    if settings.schedule == OF_APP and not app_of(plan):
        yield Problem(f"{where} is 'app', but there is no CELERY_AGENT_APP. Name one, or package.module:NAME.")
    if any(worker.queue == lease_of(plan.instance) for worker in plan.workers):
        yield Problem(
            f"{where} needs the queue {lease_of(plan.instance)!r} for itself, and a task has it. Rename the task's queue."
        )
    if plan.embedded:
        yield Problem(
            f"{where} needs RabbitMQ, and {plan.broker} is the embedded broker. Name one by RABBITMQ_HOST, or leave it out."
        )
