"""What is done with a message that is Celery's own affair, from a queue of which nothing is promised."""

from collections.abc import Callable
from typing import Any

from celery.exceptions import InvalidTaskError
from celery.worker.consumer import Consumer as StockConsumer

from celery_delivery import internals, mending


def plain_handler(
    consumer: Any, hold: Callable[[Any], None] | None, *args: Any, **kwargs: Any
) -> Callable[[Any], None]:
    """Return what is called with each message: Celery's own, mended, for a consumer of ours.

    hold: has a message ask for no more than is allowed here.

    What is delivered again and needs no new run is acked. What would end the worker, again and again, is rejected.
    """
    stock = StockConsumer.create_task_handler(consumer, *args, **kwargs)
    known = consumer.redeliveries if mending.applies(internals.worker.REDELIVERIES) else None

    def handle(message: Any) -> None:
        try:
            if hold is not None:
                hold(message)
            if known is None or not known.is_known(message, consumer.connection_errors):
                stock(message)
        except (*consumer.connection_errors, *consumer.channel_errors):
            raise
        except Exception as error:  # noqa: BLE001 - whatever it is that one message raises costs none but that one
            consumer.on_invalid_task(None, message, InvalidTaskError(f"no task can be made of it: {error!r}"))

    return handle
