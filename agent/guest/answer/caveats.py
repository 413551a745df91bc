"""What does not hold for an app as it is: each in one line, with what to do about it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from celery.concurrency import ALIASES

from celery_delivery.adopted.amqp import CONSUMER
from celery_delivery.adopted.preparing import losses
from celery_delivery.broker.urls import brokers
from celery_delivery.contract.runs import GENERATOR, is_generator
from celery_delivery.settings import common

from ..listing import first_of, some_of
from .kinds import is_safe_queue
from .redis import is_redis
from .routes import OWN

STOCK_CONSUMER = "celery.worker.consumer:Consumer"
PROCESSES = ("prefork", "processes")  # Celery's names of its pool of processes; a class by its path is used as it is


def own_pool(app: Any) -> dict[str, Any]:
    """Return what an app's settings say of the pool and its size, None where they say nothing, or what the agent does too."""
    pool, concurrency = app.conf.worker_pool, app.conf.worker_concurrency
    is_other = pool in ALIASES and pool not in PROCESSES
    return {"pool": pool if is_other else None, "concurrency": concurrency or None}


def caveats(name: str, app: Any, queues: Mapping[str, Sequence[str]]) -> Iterator[str]:
    """Yield what is not promised about the tasks of an app, which are given by their queues, and what is not done."""
    tasks = [app.tasks[each] for each in sorted({task for tasks in queues.values() for task in tasks})]
    if not any(not each.startswith(OWN) for each in app.tasks):
        yield f"{name} has no task: name their modules in `include` or `imports`, or have them discovered."
    safe = {task for queue in queues if is_safe_queue(queue, app) for task in queues[queue]}
    yield from _settings(app)
    yield from _acks([task for task in tasks if task.name not in safe])
    yield from (f"less is promised than make_safe does: {text}" for text in losses(app, safe))
    generators = [task.name for task in tasks if is_generator(task.run)]
    if generators:
        yield f"{first_of(generators)}: {GENERATOR}."
    if not any(is_redis(url) for url in brokers(app)):
        yield from _dead_letters(app, queues)
        yield from _single_consumers(app, queues)
    else:
        yield from _broadcasts(app, queues)


def unsent(name: str, app: Any) -> Iterator[str]:
    """Yield what to do about the beat schedule of an app where the instance sends none."""
    if app.conf.beat_schedule:
        yield (
            f"it has a beat schedule ({_count(len(app.conf.beat_schedule), 'entry', 'entries')}), which this instance does not "
            f"send: set CELERY_AGENT_SCHEDULE=app, or run `celery -A {name} beat` on one host."
        )


def _settings(app: Any) -> Iterator[str]:
    conf = app.conf
    if conf.task_always_eager:
        yield "task_always_eager is True: tasks are not sent at all, who calls them runs them. Unset it."
    if str(conf.result_backend or "").startswith("rpc"):
        yield (
            "result_backend is rpc: a result can be read once, by the process that sent the task, and chords don't work. "
            "Use redis:// or db+…:// where that is needed."
        )
    if conf.worker_state_db:
        yield "worker_state_db is not used, since its workers can't share the file: revoked ids come from other workers."
    if conf.worker_consumer not in (STOCK_CONSUMER, CONSUMER, common.worker_consumer):
        yield f"worker_consumer is {conf.worker_consumer}: the faults of Celery's consumer are not mended in it."


def _acks(tasks: Sequence[Any]) -> Iterator[str]:
    early = [task.name for task in tasks if not task.acks_late]
    if early:
        yield (
            f"{some_of(early, len(tasks))} acked early: what a worker that is killed was running is lost. Set task_acks_late "
            "and task_reject_on_worker_lost where a task may run twice."
        )
    failing = [task.name for task in tasks if task.acks_late and not task.reject_on_worker_lost]
    if failing:
        yield (
            f"{some_of(failing, len(tasks))} acked late without task_reject_on_worker_lost: a task whose process is killed "
            "has failed, and is not run again. Set it where a task may run twice."
        )


def _broadcasts(app: Any, queues: Mapping[str, Sequence[str]]) -> Iterator[str]:
    unheard = [each for each in queues if app.amqp.queues[each].exchange.type == "fanout"]
    if unheard:
        yield f"{first_of(unheard)}: nothing comes to a broadcast queue on Redis, with `celery worker` either. Take RabbitMQ."


def _dead_letters(app: Any, queues: Mapping[str, Sequence[str]]) -> Iterator[str]:
    without = [each for each in queues if "x-dead-letter-exchange" not in (app.amqp.queues[each].queue_arguments or {})]
    if without:
        yield (
            f"{first_of(without)}: no dead-letter queue, unless a policy of the broker gives one: what a worker rejects or "
            "can't read is gone. Give it x-dead-letter-exchange in task_queues."
        )


def _single_consumers(app: Any, queues: Mapping[str, Sequence[str]]) -> Iterator[str]:
    single = [each for each in queues if (app.amqp.queues[each].queue_arguments or {}).get("x-single-active-consumer")]
    if single:
        yield (
            f"{first_of(single)}: x-single-active-consumer does not keep tasks from running at once: a worker runs CONCURRENCY "
            "of them, and one that is stopped or replaced ends its own while the next one has begun. Set CONCURRENCY=1, "
            "and have tasks take a lock where two must never run at once."
        )


def _count(number: int, one: str, several: str) -> str:
    return f"{number} {one if number == 1 else several}"
