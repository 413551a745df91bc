"""What a project's own app declares on its broker, sends to and reads: names of exchanges and queues, as regular expressions.

{"footprint": {"vhost": …, "user": …, "own": […], "sends": […], "replies": […], "control": […], "moves": […],
               "safe": {queue: that of its dead letters}}}

    own      its queues and their exchanges, what delays of quorum queues go through, and the exchange of events; also the
             queues that safe ones had before, from which tasks are moved, and to which producers with old settings send
    sends    where its messages go besides: the default exchange, by which Celery sends to queues, and that of dead letters
    replies  queues for results, which whoever waits for one declares
    control  remote control, which workers answer and ask one another by
    moves    what `agent move-queue` makes on its way to a safe queue
    safe     names, and no expressions: of the safe queues on the broker

A queue that is known to nobody, to which tasks are sent by its name only, is not among them.

Source: the names in kombu.pidbox, kombu.transport.native_delayed_delivery, celery.events and celery.backends.rpc.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from celery.utils.quorum_queues import detect_quorum_queues

from celery_delivery.adopted.queues import SafeQueue
from celery_delivery.topology import delays
from celery_delivery.topology.queues import dead_letter_queue

from .kinds import INTERIM, LOCK

DEFAULT_EXCHANGE = "amq.default"
DELAYED = "celery_delayed_.*"  # 28 exchanges and queues, and the exchange that they end at
UUID = "[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"


def footprint(app: Any) -> dict[str, Any]:
    """Return the names that an app needs rights for, all of whose routes have been asked."""
    connection = app.connection_for_write()
    control = re.escape(f"{app.conf.control_exchange}.pidbox")
    safe = {each.name: dead_letter_queue(each.name) for each in app.amqp.queues.values() if isinstance(each, SafeQueue)}
    return {
        "vhost": connection.virtual_host,
        "user": connection.userid,
        "own": sorted(set(_own(app))),
        "sends": sorted({re.escape(DEFAULT_EXCHANGE), *_letters(app)}),
        "replies": [UUID] if str(app.conf.result_backend or "").startswith("rpc") else [],
        "control": [control, rf"reply\.{control}", rf".*\.{control}"],
        "moves": [re.escape(f"{name}{INTERIM}") + f"({re.escape(LOCK)})?" for name in safe],
        "safe": safe,
    }


def _own(app: Any) -> Iterator[str]:
    for queue in app.amqp.queues.values():
        yield _in_each_process(queue.name)
        if isinstance(queue, SafeQueue):
            names = (queue.alias or queue.name, dead_letter_queue(queue.name))
            yield from (*map(re.escape, names), rf"{re.escape(delays.PREFIX)}.*")
        for bound in queue.bindings or (queue,):
            if bound.exchange.name:
                yield re.escape(bound.exchange.name)
    if detect_quorum_queues(app, "amqp")[0]:
        yield DELAYED
    yield re.escape(app.conf.event_exchange)


def _letters(app: Any) -> Iterator[str]:
    for queue in app.amqp.queues.values():
        exchange = (queue.queue_arguments or {}).get("x-dead-letter-exchange")
        if exchange:
            yield re.escape(exchange)


def _in_each_process(name: str) -> str:
    """Return the pattern of a queue's name, which of a broadcast queue is another in each process."""
    return UUID.join(re.escape(part) for part in re.split(f"(?:{UUID.replace('(', '(?:')})", name))
