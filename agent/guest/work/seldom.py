"""What is said at each attempt to reach a broker: every 2 s in each worker, as long as it is away or refuses something.

it is away, or refuses user or password   Celery: Cannot connect to …
it refuses what a consumer needs, as a    Celery: Connection to broker lost, of the channel that the broker closed;
right or the queue's arguments            the library: Revoked tasks may be run until …
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

from celery.utils.log import get_logger
from celery.worker.consumer import consumer

FIRST, LAST = 60.0, 3600.0  # seconds until the same is said again; twice as many each time
ANOTHER = 60.0  # seconds without it after which it is of another outage
_OF_CELERY = (consumer.CONNECTION_ERROR, consumer.CONNECTION_RETRY)


class Seldom(logging.Filter):
    """Lets it through once for each broker and reason, and again after 1, 2, 4 … 60 min while it lasts."""

    def __init__(self, *messages: str, clock: Callable[[], float] = time.monotonic) -> None:
        """Know of nothing yet. messages: what is said, without the values in it. The clock gives seconds."""
        super().__init__()
        self._messages = messages or _OF_CELERY
        self._clock = clock
        self._said: dict[str, _Said] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        """Say whether a record is to be written."""
        if _message(record) not in self._messages:
            return True
        now, what = self._clock(), record.getMessage().partition("\n")[0]  # behind it stands when it tries again
        self._said = {each: said for each, said in self._said.items() if now - said.seen < ANOTHER}
        known = self._said.setdefault(what, _Said(now))
        known.seen = now
        if now < known.due:
            return False
        known.due, known.pause = now + known.pause, min(2 * known.pause, LAST)
        return True


class _Said:
    """When it was last to be said, when it is due again, and for how long it is not after that."""

    def __init__(self, now: float) -> None:
        self.seen, self.due, self.pause = now, now, FIRST


def _message(record: logging.LogRecord) -> object:
    """Return what is said; Celery 5.7 has "Connection to broker lost" as a value beside the reason."""
    values = record.args if isinstance(record.args, tuple) else ()
    return consumer.CONNECTION_RETRY if consumer.CONNECTION_RETRY in values[:1] else record.msg


def be_brief() -> None:
    """Have this worker say it no more often."""
    from celery_delivery.worker import revoked  # noqa: PLC0415 - who sends ticks has no use for it

    consumer.logger.addFilter(Seldom())
    get_logger(revoked.__name__).addFilter(Seldom(revoked.UNREAD))
