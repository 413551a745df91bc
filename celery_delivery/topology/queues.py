"""The queues of the safe profile: names, arguments, and what must be there for a queue to lose nothing.

    exchange Q ── binding key Q ──> queue Q (quorum) ── rejected, or delivered too often ──> queue Q.dead (quorum)

Each queue has an exchange of its own, so that a broker user may be given the right to publish to one queue and no other.
What is declared by a worker, by a producer and by an operator's definitions comes from here: a queue that exists with
other arguments is refused by the broker (406 PRECONDITION_FAILED). What may change while a queue lives is a matter of
policies, not of arguments.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from kombu.entity import Exchange, Queue

from celery_delivery.errors import ContractError

# A task that kills its worker is redelivered at the head of its queue, and each time costs a worker. Measured: with 20
# the queue stood still for 21 crashes. Faults that are not the task's own count too, so it is not less.
DELIVERY_LIMIT = 5

DEAD = ".dead"
LONGEST_TEXT = 255  # bytes of a name, or of a routing key: AMQP's short string
LONGEST_QUEUE = LONGEST_TEXT - len(DEAD)
QUORUM = {"x-queue-type": "quorum"}

# Looking at a dead letter is a delivery, too. RabbitMQ 4 sets a limit of 20 where there is none, and what is past the
# limit of a queue that has no dead-letter queue itself is dropped.
NO_DELIVERY_LIMIT = 2**31 - 1


@dataclass(frozen=True, slots=True)
class QueueDeclaration:
    """A durable queue as the broker knows it; `arguments` are its x-arguments."""

    name: str
    arguments: dict[str, str | int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ExchangeDeclaration:
    """A durable exchange as the broker knows it; `kind` is direct or topic."""

    name: str
    kind: str


@dataclass(frozen=True, slots=True)
class Binding:
    """What leads from an exchange to a queue, or to another exchange."""

    source: str
    destination: str
    routing_key: str
    to: str = "queue"


@dataclass(frozen=True, slots=True)
class Topology:
    """All that must be declared for some queues, in an order in which it can be.

    queues: the target of dead letters comes before the queue that sends there.
    """

    exchanges: tuple[ExchangeDeclaration, ...]
    queues: tuple[QueueDeclaration, ...]
    bindings: tuple[Binding, ...]


def dead_letter_queue(queue: str) -> str:
    """Return the name of the queue that keeps what a queue could not get done."""
    return f"{queue}{DEAD}"


def arguments_of(queue: str) -> dict[str, str | int]:
    """Return the arguments that a task queue is declared with.

    Raises ContractError for a name that no broker takes.

    reject-publish, because at-least-once dead-lettering needs it: a queue that is full refuses, and drops nothing.
    """
    if not 0 < len(queue.encode()) <= LONGEST_QUEUE:
        raise ContractError(f"the queue {queue!r} can't be: a broker takes 1 to {LONGEST_QUEUE} bytes of text here")
    return {
        **QUORUM,
        "x-delivery-limit": DELIVERY_LIMIT,
        "x-overflow": "reject-publish",
        "x-dead-letter-exchange": "",
        "x-dead-letter-routing-key": dead_letter_queue(queue),
        "x-dead-letter-strategy": "at-least-once",
    }


def topology(queues: Iterable[str], arguments: Mapping[str, dict[str, Any]] | None = None) -> Topology:
    """Return what some task queues need, sorted by queue; `arguments` are of those that have more than `arguments_of`."""
    names = sorted(set(queues))
    declarations = []
    for name in names:
        declarations.append(
            QueueDeclaration(dead_letter_queue(name), {**QUORUM, "x-delivery-limit": NO_DELIVERY_LIMIT})
        )
        declarations.append(QueueDeclaration(name, (arguments or {}).get(name) or arguments_of(name)))
    exchanges = tuple(ExchangeDeclaration(name, "direct") for name in names)
    return Topology(exchanges, tuple(declarations), tuple(Binding(name, name, name) for name in names))


def declare(topology: Topology, channel: Any) -> None:
    """Declare a topology on a channel of py-amqp, without waiting.

    What the broker refuses it answers with by closing the channel, which whatever is waited for next meets.
    """
    for exchange in topology.exchanges:
        channel.exchange_declare(exchange.name, exchange.kind, durable=True, auto_delete=False, nowait=True)
    for queue in topology.queues:
        channel.queue_declare(queue.name, durable=True, auto_delete=False, arguments=queue.arguments, nowait=True)
    for each in topology.bindings:
        bind = channel.queue_bind if each.to == "queue" else channel.exchange_bind
        bind(each.destination, each.source, each.routing_key, nowait=True)


class TaskQueue(Queue):
    """A task queue that declares all that it needs, wherever and whenever it is declared itself: one round trip, not four.

    has_order: a task with a priority is refused where the broker would ignore it.
    """

    has_order = True

    def declare(self, nowait: bool = False, channel: Any = None) -> str:
        """Declare the exchange, the dead-letter queue, the queue and its binding; wait for all of it at once, or not."""
        if not self.no_declare:
            channel = channel or self.channel
            declare(topology([self.name]), channel)
            if not nowait:
                self.queue_declare(passive=True, channel=channel)
        return str(self.name)


def task_queue(name: str) -> TaskQueue:
    """Return a task queue that declares itself before it is used."""
    exchange = Exchange(name, type="direct", durable=True)
    return TaskQueue(name, exchange, routing_key=name, durable=True, queue_arguments=arguments_of(name))


class ExistingTaskQueue(TaskQueue):
    """A task queue of others, who declare it: it is only asked for."""

    def declare(self, nowait: bool = False, channel: Any = None) -> str:
        """Ask for the queue; the broker closes the channel where it is not there."""
        self.queue_declare(nowait=nowait, passive=True, channel=channel or self.channel)
        return str(self.name)


def has_dead_letters(app: Any, queue: str) -> bool:
    """Say whether a queue of a Celery app is one of these."""
    return isinstance(app.amqp.queues.get(queue), TaskQueue)


def existing_task_queue(name: str) -> ExistingTaskQueue:
    """Return a task queue that has to be there before it is used."""
    exchange = Exchange(name, type="direct", durable=True, no_declare=True)
    return ExistingTaskQueue(name, exchange, routing_key=name, durable=True, queue_arguments=arguments_of(name))


def declared_task_queue(name: str) -> TaskQueue:
    """Return a task queue that the operator has declared: clients use it and have no right to declare.

    Its arguments say "quorum" all the same: a consumer must know that the broker takes no global prefetch for it (540).
    """
    exchange = Exchange(name, type="direct", durable=True, no_declare=True)
    return TaskQueue(
        name, exchange, routing_key=name, durable=True, queue_arguments=arguments_of(name), no_declare=True
    )
