"""Tasks that are to run later (`countdown`, `eta`, `self.retry()`) wait in the broker, on disks, not in a worker.

A delay is a number of whole seconds, rounded up, and each binary digit of it that is 1 is a stay in a queue of that many
seconds, from which the broker moves the task on (at-least-once dead-lettering):

    10 s = 1010   ──> exchange 3 ──1──> queue 3, 8 s ──> exchange 2 ──0──> exchange 1
                  ──1──> queue 1, 2 s ──> exchange 0 ──0──> exchange due ──> the task's queue

All tasks of such a queue wait equally long, so the one at its head is always the next to go: in a queue of tasks with
times of their own a long one would hold up all behind it. `docs/decisions/0010-delays.md` has the figures beside the
alternatives. A queue is declared when a process first needs it, and shared by all task queues of a virtual host.
"""

import hashlib
from collections.abc import Iterable
from datetime import UTC, datetime
from math import ceil
from typing import Any
from urllib.parse import quote

from celery_delivery.errors import DelayError
from celery_delivery.topology.queues import (
    LONGEST_TEXT,
    QUORUM,
    Binding,
    ExchangeDeclaration,
    QueueDeclaration,
    Topology,
    declare,
)

LEVELS = 25
ALL = range(LEVELS - 1, -1, -1)  # their numbers, in the order in which tasks meet them
LONGEST = 2**LEVELS - 1  # seconds: 388 days
LONGEST_WORD = LONGEST_TEXT - 2 * LEVELS  # characters of a routing key that are left for a queue
PREFIX = "celery-tasks.delay."
DUE = f"{PREFIX}due"


def level(number: int) -> str:
    """Return the name of the exchange, and of the queue, of one binary digit."""
    return f"{PREFIX}{number}" if number >= 0 else DUE


FIRST = level(LEVELS - 1)  # where every delay begins; who may write here may delay tasks


def seconds_until(eta: str | None, now: datetime) -> int:
    """Return the whole seconds until a time, 0 where it is over or None; raises DelayError for one too far away."""
    seconds = max(0, ceil(remaining(eta, now)))
    if seconds > LONGEST:
        raise DelayError(f"a task can wait for {LONGEST // 86_400} days at most, not until {eta}")
    return seconds


def remaining(eta: str | None, now: datetime) -> float:
    """Return the seconds until a time in ISO format, less than 0 where it is over, 0 for None; raises ValueError for no time.

    Without a zone it is in UTC, as Celery sends it.
    """
    if eta is None:
        return 0.0
    due = datetime.fromisoformat(eta)
    if due.tzinfo is None:
        due = due.replace(tzinfo=UTC)
    return (due - now).total_seconds()


def routing_key(seconds: int, queue: str) -> str:
    """Return what leads a task to a queue after so many seconds."""
    return ".".join((*f"{seconds:0{LEVELS}b}", word(queue)))


def topology(queues: Iterable[str]) -> Topology:
    """Return what delays need, and what leads from them to some queues."""
    chain, stays = _chain(queues), [_stay(number) for number in ALL]
    return Topology(
        exchanges=chain.exchanges,
        queues=tuple(queue for stay in stays for queue in stay.queues),
        bindings=(*chain.bindings, *(binding for stay in stays for binding in stay.bindings)),
    )


def prepare(queue: str, seconds: int, channel: Any, declared: set[Any]) -> None:
    """Declare what leads through a delay to a queue, without waiting, but for what its connection has declared before.

    Of the 25 queues only those that the delay needs: the broker takes half a second for all.
    """
    if (way := f"the way to {queue}") not in declared:
        declare(_chain([queue]), channel)
        declared.add(way)
    for number in ALL:
        if seconds >> number & 1 and level(number) not in declared:
            declare(_stay(number), channel)
            declared.add(level(number))


def _chain(queues: Iterable[str]) -> Topology:
    """Return the exchanges, each bound to the next for a digit that is 0, and the last to the queues."""
    return Topology(
        exchanges=tuple(ExchangeDeclaration(level(number), "topic") for number in (*ALL, -1)),
        queues=(),
        bindings=(
            *(Binding(level(number), level(number - 1), f"{_before(number)}0.#", to="exchange") for number in ALL),
            *(Binding(DUE, name, f"#.{word(name)}") for name in sorted(set(queues))),
        ),
    )


def _stay(number: int) -> Topology:
    """Return the queue in which a task stays for a digit that is 1, once its exchange is there."""
    queue = QueueDeclaration(level(number), _arguments(number))
    return Topology((), (queue,), (Binding(level(number), level(number), f"{_before(number)}1.#"),))


def _before(number: int) -> str:
    """Return the part of a binding that stands for the digits before one."""
    return "*." * (LEVELS - 1 - number)


def _arguments(number: int) -> dict[str, str | int]:
    return {
        **QUORUM,
        "x-message-ttl": 2**number * 1000,
        "x-overflow": "reject-publish",
        "x-dead-letter-exchange": level(number - 1),
        "x-dead-letter-strategy": "at-least-once",
    }


def word(queue: str) -> str:
    """Return a queue's name as one word of a routing key, in which dots, stars and hashes mean something.

    A word that would be too long ends in a digest instead; no other has an exclamation mark.
    """
    quoted = quote(queue, safe="").replace(".", "%2E")
    if len(quoted) <= LONGEST_WORD:
        return quoted
    end = f"!{hashlib.blake2b(queue.encode(), digest_size=16).hexdigest()}"
    return quoted[: LONGEST_WORD - len(end)] + end
