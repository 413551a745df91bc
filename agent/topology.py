"""What an operator declares on a broker for some instances, and what its users may then do: nothing that they don't need.

    user       configure      write                      read
    ---------  -------------  -------------------------  --------------------------------
    node       nothing        its exchanges (retries)    its task queues
    producer   nothing        the exchanges              nothing
    operator   nothing        the exchanges (replays)    the dead-letter queues

Results that come back through the broker (CELERY_TASKS_RESULTS=rpc) cost more: a node may write to the default exchange, which
leads to every queue of the vhost, and a producer may configure and read queues for replies. RabbitMQ has no finer right.

Rights name resources, be they exchanges or queues. A user's rights in a vhost are replaced as a whole, so what several
instances give the same user is put together.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from agent.errors import AgentError
from agent.guest import Answer

DEFAULT_EXCHANGE = "amq.default"
NOTHING = "^$"


@dataclass(frozen=True, slots=True)
class Queue:
    """A durable queue; `arguments` are its x-arguments."""

    name: str
    arguments: Mapping[str, str | int]

    @property
    def dead_letters(self) -> str:
        """The queue that its dead letters go to; empty for a queue that keeps such letters itself."""
        return str(self.arguments.get("x-dead-letter-routing-key", ""))


@dataclass(frozen=True, slots=True)
class Binding:
    """What leads from an exchange to a queue."""

    exchange: str
    queue: str
    routing_key: str


@dataclass(frozen=True, slots=True)
class Declared:
    """What one instance needs.

    user: of the node.
    exchanges: names of durable direct exchanges.
    queues: each one after the one that its dead letters go to.
    replies: what the names of queues for results begin with; empty where results don't come through the broker.
    declare: whether clients are set to declare all this themselves.
    """

    vhost: str
    user: str
    exchanges: tuple[str, ...]
    queues: tuple[Queue, ...]
    bindings: tuple[Binding, ...]
    replies: str
    declare: bool

    @property
    def task_queues(self) -> tuple[str, ...]:
        """Names of the queues that workers read."""
        return tuple(queue.name for queue in self.queues if queue.dead_letters)

    @property
    def dead_letter_queues(self) -> tuple[str, ...]:
        """Names of the queues that a desk reads."""
        return tuple(queue.dead_letters for queue in self.queues if queue.dead_letters)


@dataclass(frozen=True, slots=True)
class Permission:
    """What a user may do in a vhost: three regular expressions for names of resources."""

    user: str
    vhost: str
    configure: str
    write: str
    read: str


@dataclass(slots=True)
class _Rights:
    """Names of resources, and beginnings of names."""

    configure: set[str] = field(default_factory=set)
    write: set[str] = field(default_factory=set)
    read: set[str] = field(default_factory=set)


def declared_of(answer: Answer) -> Declared:
    """Return what the importing half says that an instance needs; raises AgentError where that is nothing."""
    for text in answer.all("failed"):
        raise AgentError(text)
    found = answer.last("topology")
    if not found:
        raise AgentError(f"The topology can't be told: {answer.printed.strip()[-200:] or 'the process ended early'}")
    return Declared(
        vhost=found["vhost"],
        user=found["user"],
        exchanges=tuple(found["exchanges"]),
        queues=tuple(Queue(**each) for each in found["queues"]),
        bindings=tuple(Binding(**each) for each in found["bindings"]),
        replies=found["replies"],
        declare=found["declare"],
    )


def permissions(
    instances: Iterable[Declared], producers: Sequence[str], operators: Sequence[str]
) -> tuple[Permission, ...]:
    """Return what the nodes' users, and the named others, may do."""
    found: dict[tuple[str, str], _Rights] = {}

    def rights(user: str, vhost: str) -> _Rights:
        return found.setdefault((user, vhost), _Rights())

    for instance in instances:
        node = rights(instance.user, instance.vhost)
        node.write.update(map(re.escape, instance.exchanges))
        node.read.update(map(re.escape, instance.task_queues))
        if instance.replies:
            node.write.add(re.escape(DEFAULT_EXCHANGE))
        for user in producers:
            producer = rights(user, instance.vhost)
            producer.write.update(map(re.escape, instance.exchanges))
            if instance.replies:
                producer.configure.add(f"{re.escape(instance.replies)}.*")
                producer.read.add(f"{re.escape(instance.replies)}.*")
        for user in operators:
            operator = rights(user, instance.vhost)
            operator.write.update(map(re.escape, instance.exchanges))
            operator.read.update(map(re.escape, instance.dead_letter_queues))
    return tuple(
        Permission(user, vhost, pattern(each.configure), pattern(each.write), pattern(each.read))
        for (user, vhost), each in sorted(found.items())
    )


def pattern(alternatives: set[str]) -> str:
    """Return a regular expression for names that are one of several expressions."""
    return f"^({'|'.join(sorted(alternatives))})$" if alternatives else NOTHING
