"""The periodic tasks that an operator names: each entry is looked at, and who may send them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from amqp.exceptions import AccessRefused, ChannelError, NotFound
from celery import Celery
from celery.beat import Scheduler
from kombu import Queue

from celery_delivery.broker.urls import brokers
from celery_delivery.settings.profile import clients_declare, is_safe

from ..schedule.entries import BadSchedule, scheduler_of
from ..schedule.lease import topology
from ..spec import OF_APP
from .importing import Emit, import_or_report, last_line, report, whole_traceback
from .kinds import of_contracts, of_project
from .misfits import misfits, unheeded
from .redis import is_redis

TIMEOUT = 3.0  # seconds for each step of a connection
DECLARED = "Have the operator import what `agent topology INSTANCE --definitions` prints."
SEVERAL = "its app names several brokers, and a Redis keeps the right to send for itself alone. Name one of them."


def examine(name: str, apps: Mapping[str, Celery], emit: Emit) -> None:
    """Report what is wrong with the entries; apps are those that are hosted, by queue."""
    sending = _sender(name, apps)
    if sending is None or (name != OF_APP and import_or_report(name.partition(":")[0], "schedule", name, emit) is None):
        return
    if len(brokers(sending)) > 1 and any(map(is_redis, brokers(sending))):
        report(emit, "schedule", name, SEVERAL)
        return
    try:
        scheduler = scheduler_of(name, sending)
    except BadSchedule as error:
        report(emit, "schedule", name, f"{error}.")
        return
    except BaseException as error:  # user code
        report(emit, "schedule", name, f"loading it fails: {last_line(error)}. Mend it.", whole_traceback(error))
        return
    if isinstance(scheduler, Scheduler):
        for entry in scheduler.schedule.values():
            for text in misfits(entry, sending):
                report(emit, "schedule", name, f"entry {entry.name!r}: {text}")


def look_at_right(name: str, lease: str, apps: Mapping[str, Celery], emit: Emit) -> None:
    """Report why the broker would refuse the queue that is the right to send; one that is not there is declared later.

    And what entries ask of it that it has not: their priorities.
    """
    sending = _sender(name, apps)
    declares = sending is not None and (not is_safe(sending.conf) or clients_declare(sending.conf))
    if sending is None or is_redis(brokers(sending)[0]):
        return
    (queue,) = topology(lease).queues
    with sending.connection_for_write(connect_timeout=TIMEOUT) as connection:
        try:
            channel = connection.channel()
        except Exception:  # a broker that can't be reached is told of elsewhere
            return
        for text in unheeded(name, sending, connection):
            report(emit, "schedule", name, text)
        bound = Queue(queue.name, durable=True, queue_arguments=queue.arguments).bind(channel)
        try:
            bound.queue_declare(passive=True)
            bound.queue_declare(passive=not declares)
        except NotFound:
            if not declares:
                report(emit, "schedule", name, f"the broker has no queue {lease!r}. {DECLARED}")
        except AccessRefused as error:
            report(
                emit, "schedule", name, f"the user has no right to the queue {lease!r}: {error.reply_text}. {DECLARED}"
            )
        except ChannelError as error:
            report(
                emit, "schedule", name, f"the broker has another queue {lease!r}: {error.reply_text}. Delete that one."
            )


def _sender(name: str, apps: Mapping[str, Celery]) -> Any:
    """Return the app that sends the entries: of contracts where there are any, unless the entries are the app's own."""
    contracts, project = of_contracts(apps), of_project(apps)
    return next(iter((project if name == OF_APP or not contracts else contracts).values()), None)
