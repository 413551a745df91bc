"""How long a broker waits for the ack of a task, and what the tasks of a queue may take of that, as far as it is known here.

{"patience": {"queue": …, "of_app": …, "redis": …, "seconds": …, "limit": …, "count": …, "late": [[task, limit], …],
              "waits": [[task, seconds], …]}}

    seconds   of the broker: RabbitMQ's consumer_timeout or the queue's own, or Redis' visibility_timeout
    limit     the time limit of the app's settings, null for none
    late      the tasks that are acked late, each with a limit of its own or null; count is that of all tasks
    waits     the longest time that a task is known to wait in a worker before it is run, where it is held there, unacked
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from celery_delivery.apps import App
from celery_delivery.broker.urls import brokers

from .kinds import is_safe_queue
from .redis import is_redis

CONSUMER_TIMEOUT = 1800.0  # seconds; RabbitMQ's own, unless it is told otherwise
VISIBILITY_TIMEOUT = 3600.0  # seconds; kombu's own
STOCK_DELAY = 180.0  # seconds until a retry, where a task says nothing


def patience(queue: str, tasks: Sequence[Any], app: Any) -> dict[str, Any]:
    """Return what is known of a queue with its tasks."""
    redis = any(is_redis(url) for url in brokers(app))
    arguments = {} if redis else app.amqp.queues[queue].queue_arguments or {}
    # Delays of quorum queues, and of contracts, are the broker's.
    waits = [] if isinstance(app, App) or arguments.get("x-queue-type") == "quorum" else list(_waits(tasks, app))
    return {
        "queue": queue,
        "of_app": not isinstance(app, App),
        "redis": redis,
        "seconds": _visibility(app) if redis else arguments.get("x-consumer-timeout", CONSUMER_TIMEOUT * 1000) / 1000,
        "limit": app.conf.task_time_limit,
        "count": len(tasks),
        "late": [[task.name, _own_limit(task, app)] for task in tasks if task.acks_late or is_safe_queue(queue, app)],
        "waits": waits,
    }


def _own_limit(task: Any, app: Any) -> float | None:
    """Return a task's own limit: Celery gives each that has none the one of the settings."""
    limit: float | None = task.time_limit
    return None if limit == app.conf.task_time_limit else limit


def _visibility(app: Any) -> float:
    return float((app.conf.broker_transport_options or {}).get("visibility_timeout", VISIBILITY_TIMEOUT))


def _waits(tasks: Sequence[Any], app: Any) -> Iterator[list[Any]]:
    """Yield each task that is known to wait longer than Celery's stock delay: for a retry, or by the beat schedule."""
    scheduled = [
        (entry.get("task"), (entry.get("options") or {}).get("countdown") or 0)
        for entry in app.conf.beat_schedule.values()
    ]
    for task in tasks:
        found = [task.default_retry_delay or 0, _longest_backoff(task)]
        found += [seconds for name, seconds in scheduled if name == task.name]
        if max(found) > STOCK_DELAY:
            yield [task.name, float(max(found))]


def _longest_backoff(task: Any) -> float:
    """Return the longest pause that autoretry comes to; see `celery.utils.time.get_exponential_backoff_interval`."""
    factor = float(getattr(task, "retry_backoff", 0) or 0)
    most = float(getattr(task, "retry_backoff_max", 600))
    retries = task.max_retries
    return 0.0 if not factor else most if retries is None else min(most, factor * 2 ** min(max(0, retries - 1), 64))
