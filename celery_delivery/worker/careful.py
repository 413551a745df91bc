"""A worker that comes after one that died takes what is delivered again one at a time: of what ends it, one task is guilty.

The broker gives back all that the one before had, and counts it as delivered once more. What is fetched again beside a task
that ends its process would be given back, and counted, once more for each of its runs.

    begins    with a prefetch of 1
    widens    tenfold, when all that it has are long tasks: of a hundred that wait for something, each would wait for the others
    ends      when a message comes that was not delivered before, or none for a while: what was given back comes first

A broker notices a death within milliseconds. Until SETTLED seconds are over it may not have; a new message means nothing then.
With nothing to be careful about this is not there: it costs a message nothing.
"""

import time
from functools import partial
from typing import Any

from celery import bootsteps
from celery.utils.log import get_logger
from celery.worker import state

from celery_delivery import internals, mending

LONG = 10.0  # seconds that tasks run undisturbed, after which more are taken beside them
WIDER = 10
SETTLED = 1.0  # seconds from the first message, or from none, that a broker has to notice a death

_log = get_logger(__name__)


class Careful(bootsteps.StartStopStep):
    """Holds a worker's prefetch at 1 until what was given back is through."""

    requires = ("celery.worker.consumer.tasks:Tasks",)

    def include_if(self, _consumer: Any) -> bool:
        """Say whether all that it needs is there."""
        return mending.applies(internals.crashes.CAREFUL)

    def __init__(self, consumer: Any, **kwargs: Any) -> None:
        """Have all before it."""
        super().__init__(consumer, **kwargs)
        self._is_over = False
        self._timer: Any = None
        self._most = 0  # messages to have at once, once it is over
        self._since = self._last = 0.0

    def start(self, consumer: Any) -> None:
        """Begin, at each connection, until it is over; without an event loop there would be no end to it."""
        if self._is_over or consumer.hub is None or consumer.qos.value == 1:
            return
        self._most = consumer.qos.value
        consumer.qos.value = 1
        consumer.qos.update()
        self._timer = consumer.timer.call_repeatedly(SETTLED, self._look, (consumer,))
        _log.warning("What was given back is run one at a time: the worker before this one has died")

    def stop(self, _consumer: Any) -> None:
        """Leave it for now: the connection is lost, or the worker is going."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    shutdown = stop

    def register_with_event_loop(self, consumer: Any, _hub: Any) -> None:
        """See each message before it is handled."""
        if self._timer is None:
            return
        self._since = self._last = time.monotonic()
        consumer.task_consumer.on_message = partial(self._came, consumer, consumer.task_consumer.on_message)

    def _came(self, consumer: Any, handle: Any, message: Any) -> None:
        self._last = time.monotonic()
        if not message.delivery_info.get("redelivered") and self._last - self._since >= SETTLED:
            self._end(consumer)
        handle(message)

    def _look(self, consumer: Any) -> None:
        quiet = time.monotonic() - self._last
        if not state.reserved_requests and quiet >= SETTLED:
            self._end(consumer)
        elif len(state.active_requests) >= consumer.qos.value and quiet >= LONG:
            self._take(consumer, min(consumer.qos.value * WIDER, self._most))

    def _end(self, consumer: Any) -> None:
        if self._is_over:
            return
        self._is_over = True
        self.stop(consumer)
        self._take(consumer, self._most)
        _log.warning("What was given back is through: the worker has as many messages at once as its settings say")

    def _take(self, consumer: Any, most: int) -> None:
        """Have so many messages at once, but not in the midst of what may be the handling of a frame."""
        self._last = time.monotonic()
        consumer.hub.call_soon(partial(self._widen, consumer, consumer.task_consumer, most))

    def _widen(self, consumer: Any, task_consumer: Any, most: int) -> None:
        """Consume anew: a consumer of a quorum queue keeps the prefetch that it began with."""
        if consumer.task_consumer is not task_consumer:
            return  # another connection, which has it from its beginning
        is_amqp = consumer.connection.transport.driver_type == "amqp"
        if is_amqp:
            task_consumer.cancel()
        consumer.qos.value = most
        consumer.qos.update()
        if is_amqp:
            task_consumer.consume()
