"""How a tick becomes messages: as Celery's scheduler makes them, kept back until they are written where the lease is."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from celery import Celery
from celery.beat import ScheduleEntry, Scheduler, _evaluate_entry_args, _evaluate_entry_kwargs
from kombu import Producer as StockProducer

from celery_delivery.results.backends import uses_replies
from celery_delivery.sending.outgoing import encoded
from celery_delivery.sending.producer import Producer as SafeProducer
from celery_delivery.settings.profile import is_safe

from ..values import dataclass
from .entries import MISSED
from .right import Right

NAMESPACE = uuid.UUID("4b0c0e7e-3f0a-5c3d-9a57-6f0f4c6d1a2e")


@dataclass(frozen=True, slots=True)
class Kept:
    """A message as Celery hands it to a producer."""

    body: Any
    options: dict[str, Any]


def tick_id(schedule: str, entry: str, tick: datetime) -> str:
    """Return the id of the task that an entry of a schedule sends at a time: the same whoever sends it."""
    return str(uuid.uuid5(NAMESPACE, f"{schedule}\n{entry}\n{tick.isoformat()}"))


class Sender:
    """Makes and writes messages over the channel of a lease."""

    def __init__(self, app: Celery, lease: Right) -> None:
        self._app = app
        self._lease = lease
        kind = _Safe if is_safe(app.conf) else _Stock
        self._producer: Any = kind(lease.channel)
        self._declared: set[str] = set()
        self._has_no_reader = {"ignore_result": True} if uses_replies(app) else {}

    def messages(self, scheduler: Scheduler, entry: ScheduleEntry, task_id: str) -> Sequence[Kept]:
        """Return what an entry sends; raises what making it does: arguments that do not fit, a priority that has no effect."""
        options = {name: value for name, value in entry.options.items() if name != MISSED}
        task = self._app.tasks.get(entry.task)
        given = {**self._has_no_reader, **options, "task_id": task_id, "producer": self._producer, "retry": False}
        args, kwargs = evaluated(entry)
        self._producer.kept = []
        if task is None:
            scheduler.send_task(entry.task, args, kwargs, **given)
        else:
            task.apply_async(args, kwargs, **given)
        kept: Sequence[Kept] = self._producer.kept
        return kept

    def declare(self, messages: Sequence[Kept]) -> None:
        """Declare the queues that messages go to, on a channel that may be closed for it; raises AMQPError."""
        for queue in {queue for message in messages for queue in message.options.get("declare") or ()}:
            if queue.name not in self._declared and not getattr(queue, "no_declare", False):
                channel = self._lease.connection.channel()
                queue.bind(channel).declare()
                channel.close()
            self._declared.add(queue.name)
            self._lease.connection.declared_entities.add(hash(queue))

    def forget_queues(self) -> None:
        """Declare queues again with the next messages: one of them is gone."""
        self._declared.clear()

    def write(self, messages: Sequence[Kept]) -> None:
        """Write messages to the channel of the lease."""
        for message in messages:
            self._producer.write(message, self._lease)


def evaluated(entry: ScheduleEntry) -> tuple[list[Any], dict[str, Any]]:
    """Return the arguments that an entry sends, those of a BeatLazyFunc as they are at this moment."""
    return _evaluate_entry_args(entry.args), _evaluate_entry_kwargs(entry.kwargs)


class _Stock(StockProducer):
    kept: list[Kept]

    def publish(self, body: Any, **options: Any) -> None:
        body, options = encoded(body, options)
        self.kept.append(Kept(body, {**options, "retry": False}))

    def write(self, message: Kept, _lease: Right) -> None:
        super().publish(message.body, **{**message.options, "declare": None, "mandatory": True})


class _Safe(SafeProducer):
    kept: list[Kept]

    def publish(self, body: Any, **options: Any) -> None:
        message = self.outgoing(body, options)
        self.place(message)
        self.kept.append(Kept(message.body, message.options))

    def write(self, message: Kept, lease: Any) -> None:
        self._write(self.outgoing(message.body, message.options), lease.channel, lease.confirms)
