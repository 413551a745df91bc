"""Whether tasks may take longer than the broker waits for them: decided from what is set and known, without asking anybody.

The limit of a task is its own, else TIME_LIMIT of its queue or of every queue in the env file, else the app's.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from agent.config.discovery import Patience
from agent.guest.listing import first_of, some_of


def overruns(known: Iterable[Patience], limits: Mapping[str, float | None]) -> Iterator[str]:
    """Yield what may run, or wait, for too long, in a line for all queues whose broker has the same patience.

    limits: TIME_LIMIT of the env file by queue, in seconds; None where it says nothing.
    """
    alike: dict[tuple[bool, bool, float], list[Patience]] = {}
    for each in known:
        alike.setdefault((each.of_app, each.redis, each.seconds), []).append(each)
    for (of_app, redis, _), queues in alike.items():
        long = sorted({task for each in queues for task in _too_long(each, limits.get(each.queue))})
        waits = sorted({task for each in queues for task, seconds in each.waits if seconds > each.seconds})
        if redis:
            yield _of_redis(queues, long, waits)
        else:
            yield from _of_rabbitmq(queues, long, waits, "the app" if of_app else "the contract")


def _too_long(queue: Patience, limit: float | None) -> Iterator[str]:
    for task, own in queue.late:
        if (own or limit or queue.limit or 0) > queue.seconds:
            yield task


def _of_rabbitmq(queues: Sequence[Patience], long: Sequence[str], waits: Sequence[str], whose: str) -> Iterator[str]:
    seconds = f"{queues[0].seconds:g} s, RabbitMQ's consumer_timeout"
    if long:
        yield (
            f"{some_of(long, _count(queues))} acked late with a time limit above {seconds}: after that the broker takes the "
            f"task away, and it runs again. Lower the limit, in the env file or in {whose}, or raise consumer_timeout."
        )
    if waits:
        yield (
            f"{first_of(waits)}: may wait in a worker, for a retry or by the schedule, for longer than {seconds}: the broker "
            "closes the worker's channel for it, and what runs there runs again. Use a quorum queue, or raise consumer_timeout."
        )


def _of_redis(queues: Sequence[Patience], long: Sequence[str], waits: Sequence[str]) -> str:
    runs = (
        f"{some_of(long, _count(queues))} allowed to run longer, and"
        if long
        else "a task that is acked late and runs longer, or"
    )
    wait = f"{first_of(waits)}, which may wait longer for a retry or by the schedule, or " if waits else ""
    return (
        f"Redis gives what is not acked for {queues[0].seconds:g} s to another worker (visibility_timeout): {runs} "
        f"{wait}one with an ETA beyond that, runs again meanwhile. Raise it in broker_transport_options above "
        "the longest task and ETA."
    )


def _count(queues: Sequence[Patience]) -> int:
    return sum(each.count for each in queues)
