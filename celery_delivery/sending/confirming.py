"""Celery's `app.amqp`, with what confirms and routes in the place of its parts."""

from typing import Any

from celery.app.amqp import AMQP

from celery_delivery.sending.pools import Pool, pool_of
from celery_delivery.sending.producer import SEND_TIMEOUT, Producer
from celery_delivery.sending.routing import Routing


class Confirming(AMQP):
    """Celery's `app.amqp` for apps that promise what they send."""

    Producer = Producer

    @property
    def producer_pool(self) -> Pool:
        """The producers that all apps of this process share which have the same broker."""
        return pool_of(self.app, Producer, SEND_TIMEOUT)

    def check_priority(self, priority: Any, name: str) -> None:
        """Raise PriorityError where a later step of a workflow has a priority that the broker would ignore."""
        with self.app.producer_pool.acquire(block=True) as producer:
            producer.check_priority(priority, f"task {name}")


class Sending(Confirming, Routing):
    """The same, for apps of contracts."""
