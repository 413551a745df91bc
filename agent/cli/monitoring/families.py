"""Which values of `agent status` are metrics, and what each is called.

Names that begin with `celery_agent_` are the agent's own. The others, with `queue_name` and `hostname`, are those of
celery-exporter (https://github.com/danihodovic/celery-exporter) and mean the same; `agent` is the instance, in all of them.
No label has more values than there are instances, queues or words: no task's id or name is among them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from agent.cli.monitoring.exposition import COUNTER, GAUGE, Family, Sample, Sight
from agent.decide.status import QueueStatus, Status
from agent.decide.words import Word


def _of_instance(value: Callable[[Status], float | None]) -> Callable[[Sight], Iterator[Sample]]:
    def samples(sight: Sight) -> Iterator[Sample]:
        if sight.status is not None:
            yield {"agent": sight.instance}, value(sight.status)

    return samples


def _of_queue(value: Callable[[QueueStatus], float | None]) -> Callable[[Sight], Iterator[Sample]]:
    def samples(sight: Sight) -> Iterator[Sample]:
        for queue in _queues(sight):
            yield {"agent": sight.instance, "queue_name": queue.queue}, value(queue)

    return samples


def _of_worker(value: Callable[[QueueStatus], float | None]) -> Callable[[Sight], Iterator[Sample]]:
    """Return the samples of what celery-exporter tells for each host."""

    def samples(sight: Sight) -> Iterator[Sample]:
        for queue in _queues(sight):
            yield {"hostname": sight.host, "agent": sight.instance, "queue_name": queue.queue}, value(queue)

    return samples


def _queues(sight: Sight) -> tuple[QueueStatus, ...]:
    return () if sight.status is None else sight.status.queues


def _up(sight: Sight) -> Iterator[Sample]:
    yield {"agent": sight.instance}, sight.status is not None


def _version(sight: Sight) -> Iterator[Sample]:
    if sight.status is not None:
        yield {"agent": sight.instance, "version": sight.status.version}, 1


def _health(sight: Sight) -> Iterator[Sample]:
    """Yield each word with 1 or 0, so that a rule may ask for how long, or what share of the time, a queue had it."""
    for queue in _queues(sight):
        words = [*Word] if queue.health in [*Word] else [*Word, queue.health]
        for word in words if queue.health else []:
            labels = {"agent": sight.instance, "queue_name": queue.queue, "health": str(word)}
            yield labels, word == queue.health


def _watched(status: Status) -> bool | None:
    """Return whether there is a watcher; None where the one process is that which sends periodic tasks: it needs none."""
    sender = None if status.schedule is None else status.schedule.queue
    return not status.watcher if any(queue.queue != sender for queue in status.queues) else None


def _certificates(sight: Sight) -> Iterator[Sample]:
    for each in () if sight.status is None else sight.status.certificates:
        yield {"agent": sight.instance, "broker": each.broker, "whose": each.whose}, each.expires


FAMILIES = (
    Family("celery_agent_up", GAUGE, "Whether the instance's daemon answers.", _up),
    Family("celery_agent_info", GAUGE, "The release of the agent; always 1.", _version),
    Family("celery_agent_uptime_seconds", GAUGE, "Since the agent was started.", _of_instance(lambda it: it.uptime)),
    Family(
        "celery_agent_ready", GAUGE, "Whether every queue is being consumed from.", _of_instance(Status.is_consuming)
    ),
    Family(
        "celery_agent_reload_refused",
        GAUGE,
        "Whether the last reload was refused.",
        _of_instance(lambda it: it.reload_error is not None),
    ),
    Family(
        "celery_agent_watcher_up",
        GAUGE,
        "Whether the process works that asks the broker about the queues.",
        _of_instance(_watched),
    ),
    Family(
        "celery_agent_state_writable",
        GAUGE,
        "Whether the agent could write what outlasts it, when it tried last.",
        _of_instance(lambda it: not it.unkept),
    ),
    Family("celery_agent_memory_bytes", GAUGE, "Memory (PSS) of the agent alone.", _of_instance(lambda it: it.memory)),
    Family(
        "celery_agent_schedule_leads",
        GAUGE,
        "Whether it is this node that sends the periodic tasks.",
        _of_instance(lambda it: None if it.schedule is None else it.schedule.leads),
    ),
    Family(
        "celery_agent_certificate_expires_timestamp_seconds",
        GAUGE,
        "When a certificate runs out that is in use with a broker: that of the broker, or our own.",
        _certificates,
    ),
    Family(
        "celery_worker_up",
        GAUGE,
        "Whether the worker of a queue consumes, its loop is alive and nothing keeps it from running tasks.",
        _of_worker(lambda it: it.consuming if it.wanted else None),
    ),
    Family("celery_worker_tasks_active", GAUGE, "Running tasks.", _of_worker(lambda it: it.active_count)),
    Family(
        "celery_task_succeeded_total",
        COUNTER,
        "Tasks that succeeded.",
        _of_worker(lambda it: it.succeeded),
    ),
    Family(
        "celery_task_failed_total",
        COUNTER,
        "Tasks that failed for good.",
        _of_worker(lambda it: it.failed),
    ),
    Family(
        "celery_task_retried_total",
        COUNTER,
        "Tasks that are to be tried again.",
        _of_worker(lambda it: it.retried),
    ),
    Family(
        "celery_task_revoked_total",
        COUNTER,
        "Tasks that were revoked, or not run since their time was over.",
        _of_worker(lambda it: it.revoked),
    ),
    Family(
        "celery_agent_queue_set_aside_total",
        COUNTER,
        "Of the failed, messages for which no task was run, or not once more.",
        _of_queue(lambda it: it.set_aside),
    ),
    Family(
        "celery_agent_queue_results_lost_total",
        COUNTER,
        "Tasks whose result could not be stored.",
        _of_queue(lambda it: it.results_lost),
    ),
    Family("celery_queue_length", GAUGE, "Messages that wait at the broker.", _of_queue(lambda it: it.waiting)),
    Family(
        "celery_active_consumer_count",
        GAUGE,
        "Consumers that the broker counts, of the whole fleet.",
        _of_queue(lambda it: it.consumers),
    ),
    Family("celery_agent_queue_health", GAUGE, "1 for the word of a queue's health, 0 for the others.", _health),
    Family(
        "celery_agent_queue_health_seconds",
        GAUGE,
        "For how long a queue has been in its health.",
        _of_queue(lambda it: it.health_age if it.health else None),
    ),
    Family(
        "celery_agent_queue_dead_letters",
        GAUGE,
        "Messages in the dead-letter queue of a queue.",
        _of_queue(lambda it: it.dead),
    ),
    Family(
        "celery_agent_queue_oldest_seconds",
        GAUGE,
        "For how long the oldest waiting message has waited at least; 0 where none waits.",
        _of_queue(lambda it: 0.0 if it.waiting == 0 else it.oldest),
    ),
    Family("celery_agent_queue_rate_in", GAUGE, "Messages a second that come.", _of_queue(lambda it: it.rate_in)),
    Family(
        "celery_agent_queue_rate_out", GAUGE, "Tasks a second that this node ends.", _of_queue(lambda it: it.rate_out)
    ),
    Family(
        "celery_agent_queue_concurrency",
        GAUGE,
        "Tasks that may run at once, as configured.",
        _of_queue(lambda it: it.concurrency),
    ),
    Family(
        "celery_agent_queue_oldest_task_seconds",
        GAUGE,
        "For how long the oldest running task has run; 0 where none runs.",
        _of_queue(lambda it: max((each.age for each in it.active), default=0.0)),
    ),
    Family(
        "celery_agent_queue_losing_results",
        GAUGE,
        "Whether the newest result could not be stored.",
        _of_queue(lambda it: it.losing is not None),
    ),
    Family(
        "celery_agent_queue_clock_behind",
        GAUGE,
        "Whether this node's clock is behind that of who has sent to the queue in the last 10 min.",
        _of_queue(lambda it: bool(it.clock)),
    ),
    Family(
        "celery_agent_queue_restarts_total",
        COUNTER,
        "Worker processes that ended without having been told to, or that were replaced for their health.",
        _of_queue(lambda it: it.restarts),
    ),
    Family(
        "celery_agent_queue_oom_kills_total",
        COUNTER,
        "Processes of a queue that the kernel killed for want of memory.",
        _of_queue(lambda it: it.oom_kills),
    ),
    Family(
        "celery_agent_queue_recycled_total",
        COUNTER,
        "Workers that were replaced because they held more than MEMORY_SOFT.",
        _of_queue(lambda it: it.recycled),
    ),
    Family(
        "celery_agent_queue_draining",
        GAUGE,
        "Former workers that still finish their tasks.",
        _of_queue(lambda it: it.draining),
    ),
    Family(
        "celery_agent_queue_processes",
        GAUGE,
        "Processes of the worker and its pool.",
        _of_queue(lambda it: None if it.memory is None else it.processes),
    ),
    Family("celery_agent_queue_memory_bytes", GAUGE, "Memory (PSS) of these.", _of_queue(lambda it: it.memory)),
    Family(
        "celery_agent_queue_memory_max_bytes",
        GAUGE,
        "What a queue's memory is limited to.",
        _of_queue(lambda it: it.limits.memory_max),
    ),
    Family(
        "celery_agent_queue_cpu_seconds",
        GAUGE,
        "CPU time of the processes that the queue has; less after one was replaced.",
        _of_queue(lambda it: it.cpu),
    ),
)
