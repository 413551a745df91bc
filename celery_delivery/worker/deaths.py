"""Messages that the broker must not make a dead letter of as they are: with their header x-death it could not go on.

RabbitMQ 3.10 writes each death into x-death, and believes what a client has put there:

    x-death of a client               when its message dies
    --------------------------------  ---------------------------------------------------------------------------------
    [5], [{"count": "x", …}]          RabbitMQ's worker for dead letters crashes, again and again, and with it end those
                                      of all virtual hosts (`docs/broker.md`)
    [{"queue": "Q.dead", …}]          it takes that for a circle, where it does not die by a rejection, and keeps the
                                      message inside of queue Q

Some deaths are the broker's own act, so such a message is looked for when it comes, before a task of it can run:

    it comes                a copy without x-death, marked, goes to the same queue; when that is confirmed, it is acked
    the copy comes          it is rejected, and the broker makes a dead letter of it
    the copy is not taken   the message is kept, and a copy is sent later

Where the worker dies before the ack, there will be two dead letters. The copy goes by the queue's own exchange, where a worker
may write if it may write anywhere: it needs that for retries. The copies of a task that ends its process (`blame`), and of one
that failed and is kept (`failures`), are rejected when they come, likewise.
"""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from celery.exceptions import InvalidTaskError
from celery.utils.log import get_logger

from celery_delivery.topology.queues import dead_letter_queue
from celery_delivery.worker.copies import Replacement, options_of, replace

HEADER = "x-death"
MARK = "celery-tasks-undying"  # header of a copy: the one that it was made without
CRASHES = "celery-tasks-crashes"  # header of a copy: how the process of its task has ended, time and again,
CRASHED = "celery-tasks-crashed"  # and how often, as far as that is known
FAILED = "celery-tasks-failed"  # the same: what its task has raised,
TRACEBACK = "celery-tasks-traceback"  # and where
REASON = f"its header {HEADER} is none that the broker can go on with"

_log = get_logger(__name__)


def can_die(headers: Mapping[str, Any], queue: str) -> bool:
    """Say whether the broker can make a dead letter of a message of a queue; what is no list it replaces."""
    deaths = headers.get(HEADER)
    return not isinstance(deaths, list) or all(_is_death(each, dead_letter_queue(queue)) for each in deaths)


def _is_death(entry: Any, dead: str) -> bool:
    return isinstance(entry, dict) and type(entry.get("count", 0)) is int and entry.get("queue") != dead


def guarded(consumer: Any, handle: Callable[[Any], None]) -> Callable[[Any], None]:
    """Return what is called with each message: `handle`, unless it can't die, or is the copy of one."""

    def look(message: Any) -> None:
        if _is_undying(consumer, message):
            _replace(consumer, message)
        elif MARK in message.headers:
            consumer.on_invalid_task(None, message, InvalidTaskError(REASON))
        elif CRASHES in message.headers:  # its caller has been told
            _log.warning("Message %r is a dead letter: %s", message.headers.get("id"), message.headers[CRASHES])
            message.reject_log_error(_log, consumer.connection_errors)
        elif FAILED in message.headers:  # likewise
            message.reject_log_error(_log, consumer.connection_errors)
        else:
            handle(message)

    return look


def reject(consumer: Any, message: Any) -> None:
    """Have a message become a dead letter, by a copy where it has to be."""
    if _is_undying(consumer, message):
        _replace(consumer, message)
    else:
        message.reject_log_error(_log, consumer.connection_errors)


def _is_undying(consumer: Any, message: Any) -> bool:
    if HEADER not in message.headers:  # as of nearly all: asking Celery's settings costs more than the rest
        return False
    queue = consumer.queue_of(message)
    return queue is not None and not can_die(message.headers, queue.name)  # others have no dead letters


def _replace(consumer: Any, message: Any) -> None:
    """Have a copy that may die take the place of a message."""
    task_id, queue = message.headers.get("id"), consumer.queue_of(message).name

    def then() -> None:
        _log.error("Message %r becomes a dead letter without running, by a copy: %s", task_id, REASON)
        message.ack_log_error(_log, consumer.connection_errors)

    options = options_of(message, queue, {HEADER}, **{MARK: HEADER})
    again = partial(_replace, consumer, message)
    reason = f"Message {task_id!r} must not die as it is: {REASON}"
    replace(consumer, message, Replacement(options, then, again, reason))
