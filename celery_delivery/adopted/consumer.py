"""The consumer of an app that was made by others, with safe queues and other ones: each message is taken as its queue says."""

from typing import Any

from celery.worker.consumer import Consumer as StockConsumer
from celery.worker.consumer.delayed_delivery import DelayedDelivery
from kombu.common import Broadcast

from celery_delivery.adopted.queues import SafeQueue
from celery_delivery.adopted.tasks import MARK, twin
from celery_delivery.worker.consumer import Consumer as SafeConsumer
from celery_delivery.worker.hub import ReadyFirst, WakeOnSignal
from celery_delivery.worker.plain import plain_handler

_STOCK_DELAYS = "celery.worker.consumer.delayed_delivery:DelayedDelivery"


class OthersDelays(DelayedDelivery):
    """Celery's own delays, for queues that are not safe: it has such for exchanges that are not direct."""

    def include_if(self, c: Any) -> bool:
        """Say whether there is such a queue, and Celery sends to it by way of its delays."""
        return bool(super().include_if(c)) and any(map(_is_delayed_by_celery, c.app.amqp.queues.values()))


class Consumer(SafeConsumer):
    """Celery's consumer, mended, with the profile `safe` for what comes by a safe queue."""

    class Blueprint(StockConsumer.Blueprint):
        """Celery's steps, and those that mend the hub."""

        @property
        def default_steps(self) -> tuple[Any, ...]:
            """What Celery looks up when it makes a consumer."""
            steps = StockConsumer.Blueprint.default_steps
            return (*(OthersDelays if step == _STOCK_DELAYS else step for step in steps), ReadyFirst, WakeOnSignal)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self._twins: dict[str, Any] = {}  # what is done with a message from a safe queue, by the name of its task
        self._by_tag: dict[str, SafeQueue | None] = {}
        super().__init__(*args, **kwargs)

    def update_strategies(self) -> None:
        """Look up what is done with messages, by the names of their tasks."""
        super().update_strategies()
        for name, task in self.app.tasks.items():
            self._twins[name] = twin(task, self.pool).start_strategy(self.app, self)

    def create_task_handler(self, *args: Any, **kwargs: Any) -> Any:
        """Return what is called with each message."""
        plain = plain_handler(self, None, *args, **kwargs)
        others = self.strategies  # type: ignore[has-type]
        self.strategies = self._twins
        try:
            safe = super().create_task_handler(*args, **kwargs)
        finally:
            self.strategies = others
        self._by_tag.clear()

        def handle(message: Any) -> None:
            if self.queue_of(message) is None:
                message.headers.pop(MARK, None)
                plain(message)
            else:
                message.headers[MARK] = True
                safe(message)

        return handle

    def queue_of(self, message: Any) -> Any:
        """Return the safe queue that a message came by, None where it is another kind."""
        tag = message.delivery_info["consumer_tag"]
        if tag not in self._by_tag:
            consumer = self.task_consumer
            queues = {each.name: each for each in consumer.queues if isinstance(each, SafeQueue)}
            tags = consumer._active_tags  # noqa: SLF001
            self._by_tag |= {each: queues.get(name) for name, each in tags.items()}
        return self._by_tag.get(tag)

    def on_decode_error(self, message: Any, exc: Exception) -> None:
        """Reject what can't be decoded, from a safe queue."""
        self._of(message).on_decode_error(self, message, exc)

    def on_invalid_task(self, body: Any, message: Any, exc: Exception) -> None:
        """Reject it, from a safe queue, and tell whoever waits for a result."""
        self._of(message).on_invalid_task(self, body, message, exc)

    def on_unknown_task(self, body: Any, message: Any, exc: Exception) -> None:
        """Reject it, and tell whoever waits for a result."""
        self._of(message).on_unknown_task(self, body, message, exc)

    def _of(self, message: Any) -> Any:
        return StockConsumer if self.queue_of(message) is None else SafeConsumer


def _is_delayed_by_celery(queue: Any) -> bool:
    return not isinstance(queue, Broadcast) and queue.exchange.type != "direct"
