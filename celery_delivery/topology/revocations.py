"""Where revocations are kept: one stream of a virtual host, which every worker reads from its first message on.

    exchange celery-tasks.revoked ──> stream celery-tasks.revoked: who reads a message leaves it there for the others

So a revocation is heard by workers that are there, and known to those that start later, on whatever node. The newest are kept,
however old they are: a task may be due in a year. `docs/decisions/0025-revocations.md` has the alternatives.
"""

from dataclasses import replace
from typing import Any

from kombu.entity import Exchange, Queue

from celery_delivery.topology import queues
from celery_delivery.topology.queues import Binding, ExchangeDeclaration, QueueDeclaration, Topology

NAME = "celery-tasks.revoked"
LOCK = f"{NAME}.lock"  # an exclusive queue of who makes the stream

# A revocation of one task takes 200 bytes there, so that 20,000 of them are kept. The broker drops a segment at a time.
MOST_BYTES = 4_000_000
_ARGUMENTS: dict[str, str | int] = {
    "x-queue-type": "stream",
    "x-max-length-bytes": MOST_BYTES,
    "x-stream-max-segment-size-bytes": MOST_BYTES // 4,
}


def topology() -> Topology:
    """Return what must be declared for revocations."""
    return Topology(
        (ExchangeDeclaration(NAME, "direct"),),
        (QueueDeclaration(NAME, dict(_ARGUMENTS)),),
        (Binding(NAME, NAME, NAME),),
    )


def declare(channel: Any) -> None:
    """Declare them on a channel of py-amqp, without waiting: the exchange last, so that where it is, the stream is whole."""
    made = topology()
    queues.declare(replace(made, exchanges=(), bindings=()), channel)
    queues.declare(replace(made, queues=()), channel)


class Revocations(Queue):
    """The stream, as what is sent there declares it."""

    def declare(self, nowait: bool = False, channel: Any = None) -> str:  # noqa: ARG002 - the broker's answer is that to the message
        """Declare the exchange, the stream and its binding, without waiting."""
        if not self.no_declare:
            declare(channel or self.channel)
        return NAME


def revocations(*, declares: bool) -> Revocations:
    """Return the stream to send to; declares: whether clients declare what they use."""
    exchange = Exchange(NAME, type="direct", durable=True, no_declare=True)
    return Revocations(NAME, exchange, routing_key=NAME, durable=True, no_declare=not declares)
