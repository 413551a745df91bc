"""What an app that was made by others sends and routes with, once queues of it are safe.

a task goes to              it is sent
--------------------------  --------------------------------------------------------------------------------------------
a safe queue                confirmed, within a bounded time, and later by the delays of `topology.delays`
another queue, an exchange  as Celery sends it, over connections of its own
"""

from collections.abc import Callable
from typing import Any

import celery
from celery.app.amqp import AMQP
from celery.app.routes import Router as StockRouter
from kombu import Connection, pools
from kombu.transport import memory, pyamqp

from celery_delivery.adopted.queues import SafeQueue, SafeQueues
from celery_delivery.adopted.tasks import MARK
from celery_delivery.errors import SettingError
from celery_delivery.sending.pools import Pool, pool_of
from celery_delivery.sending.producer import SEND_TIMEOUT, Producer
from celery_delivery.settings import safe
from celery_delivery.topology import delays
from celery_delivery.worker.retries import Patient

CONSUMER = "celery_delivery.adopted.consumer:Consumer"


def adopted(app: celery.Celery) -> AMQP:
    """Return what takes the place of Celery's `app.amqp`; raises SettingError where the app's settings make it impossible.

    On memory://, which is for tests inside of one process, that is Celery's own.
    """
    conf = app.conf
    connection = Connection(conf.broker_write_url or conf.broker_url, transport=conf.broker_transport)  # not opened
    transport = connection.get_transport_cls()
    if issubclass(transport, memory.Transport):
        return AMQP(app)
    if not issubclass(transport, pyamqp.Transport):
        raise SettingError(
            f"make_safe needs RabbitMQ, and broker_url begins with {connection.transport_cls}, where nothing is confirmed and "
            "no queue has dead letters: name a RabbitMQ, or leave make_safe out"
        )
    consumer = app.conf.worker_consumer  # a name; an agent puts a class of its own there, made of the one that is named
    if isinstance(consumer, str) and consumer != CONSUMER:
        raise SettingError(f"worker_consumer is {consumer!r}, and make_safe needs {CONSUMER!r}: unset it")
    return Adopted(app)


class Adopted(Patient):
    """Celery's `app.amqp` for an app with safe queues."""

    def __init__(self, app: Any) -> None:
        super().__init__(app)
        self.queues_cls = type("Queues", (SafeQueues,), {"wanted": app.safe_queues})
        self.Producer: Any = type("Producer", (AdoptedProducer,), {"elsewhere": staticmethod(_stock_pool(app))})

    @property
    def producer_pool(self) -> Pool:
        """The producers of this app."""
        own = self.app.conf.broker_transport_options or {}
        options = {**safe.broker_transport_options, **own, "confirm_publish": False}  # it waits without a limit
        return pool_of(self.app, self.Producer, SEND_TIMEOUT, options)

    def Router(self, queues: Any = None, create_missing: Any = None) -> "Router":  # noqa: N802 - Celery's name
        """Return the app's router."""
        create_missing = self.app.either("task_create_missing_queues", create_missing)
        return Router(self.routes, queues or self.queues, create_missing, app=self.app)

    def keeps(self, task: celery.Task) -> bool:
        """Say whether the task that is run can be delivered again."""
        return bool(task.request.get(MARK))


class Router(StockRouter):
    """Celery's router, which knows a safe queue by what a message says of its way: a retry goes back to where it came from."""

    def route(
        self, options: dict[str, Any], name: str, args: Any = (), kwargs: Any = None, task_type: Any = None
    ) -> Any:
        """Return the options with the queue among them."""
        queue = None if options.get("queue") else self._by_way(options.get("exchange"), options.get("routing_key"))
        if queue is not None:
            options = {**options, "queue": queue}
            del options["exchange"], options["routing_key"]
        return super().route(options, name, args, kwargs, task_type)

    def _by_way(self, exchange: Any, key: Any) -> SafeQueue | None:
        if not exchange or not key:
            return None
        for queue in self.queues.safe:
            is_delayed = exchange == delays.DUE and key.endswith(f".{delays.word(queue.name)}")
            if is_delayed or exchange == key == queue.name:
                return queue  # type: ignore[no-any-return]
        return None


class AdoptedProducer(Producer):
    """Publishes a task that goes to a safe queue so that the broker has it when the call returns; all else as Celery does.

    elsewhere: returns a pool of Celery's own producers.
    """

    elsewhere: Callable[[], Any]

    def publish(self, body: Any, **options: Any) -> None:
        """Publish a message."""
        if _is_for_safe(options):
            super().publish(body, **options)
            return
        replies, self._replies = self._replies, None
        if replies is not None:
            options["declare"] = [*(options.get("declare") or ()), replies.binding]
        with self.elsewhere().acquire(block=True) as producer:
            producer.publish(body, **options)


def _is_for_safe(options: dict[str, Any]) -> bool:
    queue = next((each for each in options.get("declare") or () if isinstance(each, SafeQueue)), None)
    if queue is None:
        return False
    exchange = options.get("exchange")
    return exchange == queue.exchange.name or (exchange in {None, ""} and options.get("routing_key") == queue.name)


def _stock_pool(app: celery.Celery) -> Callable[[], Any]:
    return lambda: pools.producers[app.connection_for_write()]
