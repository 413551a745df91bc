"""Tasks that come before they are due: they wait in the broker, as those do that this library sends.

Stock Celery keeps such a task in the worker. It holds a place among the messages that the broker lets the worker have; with a
prefetch of 1 nothing else runs until it is due. Here a copy goes into the delays (`celery_delivery.topology.delays`), and the
message is acked when that is confirmed.

    the copy is not taken        the message is kept, and tried again, until the task is due
    the worker dies in between   the task may run twice; a worker that lives on knows the message when it comes again
"""

from collections.abc import Callable
from datetime import UTC, datetime
from math import ceil
from typing import Any

from celery.exceptions import InvalidTaskError
from celery.utils.log import get_logger
from celery.utils.time import maybe_iso8601, maybe_make_aware
from celery.worker import state

from celery_delivery.topology import delays
from celery_delivery.topology.queues import TaskQueue
from celery_delivery.worker.copies import Replacement, options_of, replace
from celery_delivery.worker.deaths import HEADER

_log = get_logger(__name__)


class Early:
    """Sends tasks of one worker's queue back into the broker; without delays there, Celery keeps them as it does."""

    def __init__(self, consumer: Any) -> None:
        self._consumer = consumer

    def seconds(self, message: Any) -> int:
        """Return the whole seconds that a message is to wait in the broker, 0 where it was revoked.

        Raises InvalidTaskError for no time.
        """
        if message.headers.get("eta") is None or not isinstance(self._consumer.queue_of(message), TaskQueue):
            return 0
        if message.headers.get("id") in state.revoked:
            return 0
        return seconds_until(message.headers["eta"], datetime.now(UTC))

    def give(self, message: Any, seconds: int, run: Callable[[Any], None]) -> None:
        """Have a message wait so long, or call `run` where it can't, once it is due."""
        name, task_id = message.headers.get("task"), message.headers.get("id")
        eta, queue = due(message.headers["eta"]).isoformat(), self._consumer.queue_of(message)
        options = options_of(message, queue.name, {HEADER}, eta=eta)

        def then() -> None:
            _log.info("Task %s[%s] is due in %d s, and waits in the broker until then", name, task_id, seconds)
            self._consumer.call_soon_ack(message.ack_log_error, _log, self._consumer.connection_errors)

        def again() -> None:
            left = self.seconds(message)
            if left:
                self.give(message, left, run)
            else:
                run(message)

        reason = f"Task {name}[{task_id}] is due in {seconds} s, and is to wait in the broker"
        replace(self._consumer, message, Replacement({**options, "declare": (queue,)}, then, again, reason))


def seconds_until(eta: Any, now: datetime) -> int:
    """Return the whole seconds until a time, 0 where it is over; raises InvalidTaskError for no time, or one too far away."""
    seconds = max(0, ceil((due(eta) - now).total_seconds()))
    if seconds > delays.LONGEST:
        raise InvalidTaskError(
            f"the header `eta` is {eta}, and a task can wait for {delays.LONGEST // 86_400} days at most"
        )
    return seconds


def due(eta: Any) -> datetime:
    """Return the time that Celery reads in a header; raises InvalidTaskError where there is none."""
    try:
        time: datetime = maybe_make_aware(maybe_iso8601(eta))
    except (AttributeError, TypeError, ValueError, OverflowError) as error:
        raise InvalidTaskError(f"the header `eta` is {eta!r}: {error}") from error
    return time
