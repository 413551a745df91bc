"""What leads to the queues of an instance at their broker, and where what they could not get done goes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from celery_delivery.broker.urls import brokers, is_embedded
from celery_delivery.settings.profile import is_safe
from celery_delivery.topology.queues import dead_letter_queue

from .kinds import is_safe_queue, name_at_broker, of_contracts
from .redis import is_redis


def ways(apps: Mapping[str, Any]) -> Iterator[dict[str, str]]:
    """Yield {"queue": …, "exchange": …, "dead_letters": …} for each queue of which one of these is known; the other is "".

    A Redis and the embedded broker have neither. To a queue of a project's own app that is bound to a direct exchange Celery
    sends past that, by the queue's name; only one of another type is on the way of each task.
    """
    safe = of_contracts(apps)
    for queue, app in apps.items():
        first = next(iter(brokers(app)), "")
        if is_redis(first) or is_embedded(first):
            continue
        exchange = dead = ""
        if queue in safe:
            if is_safe(app.conf):
                exchange, dead = queue, dead_letter_queue(queue)
        elif is_safe_queue(queue, app):
            dead = dead_letter_queue(name_at_broker(queue, app))
        else:
            found = getattr(app.amqp.queues.get(queue), "exchange", None)
            exchange = str(found.name) if found is not None and found.type != "direct" else ""
        if exchange or dead:
            yield {"queue": queue, "exchange": exchange, "dead_letters": dead}
