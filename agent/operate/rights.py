"""What an operator declares on a broker for some instances, and the least rights that the broker's users then need.

    user       configure      write                                read
    ---------  -------------  -----------------------------------  --------------------
    node       nothing        its exchanges, delays: for retries,  its task queues, the right to send
                              and those that it sends to;          its periodic tasks, revocations
                              revocations
    producer   nothing        the exchanges, delays, revocations   nothing
    operator   nothing        the exchanges: for replays;          the dead-letter queues
                              revocations

The delays of all queues of a vhost begin at one topic exchange; topic permissions say which queues a user may reach from it.

Results that come back through the broker (CELERY_TASKS_RESULTS=rpc) cost more: a node may write to the default exchange, which
leads to every queue of the vhost, and a producer may configure and read queues for replies. RabbitMQ has no finer right.

A project's own app declares its queues itself, and Celery sends by the default exchange. So its workers and its producers have
all rights to its names, its workers to those of remote control too, and both may write into every queue of the vhost: it should
have one of its own.

Rights are for names, of exchanges and queues alike. RabbitMQ replaces a user's rights in a vhost as a whole, so the rights that
several instances give the same user are joined.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from agent.config.asking import Answer
from agent.errors import AgentError
from agent.guest.values import dataclass

DEFAULT_EXCHANGE = "amq.default"
AMQ_TOPIC = "amq.topic"  # nobody may write to it; if somebody widens a right by hand, its topics are still closed
NOTHING = "^$"


@dataclass(frozen=True, slots=True)
class Exchange:
    """A durable exchange; `kind` is direct or topic."""

    name: str
    kind: str


@dataclass(frozen=True, slots=True)
class Queue:
    """A durable queue for a purpose, as Declared has them; `arguments` are its x-arguments."""

    name: str
    arguments: Mapping[str, str | int]
    purpose: str


@dataclass(frozen=True, slots=True)
class Binding:
    """What leads from an exchange to a queue, or to another exchange."""

    source: str
    destination: str
    routing_key: str
    to: str


@dataclass(frozen=True, slots=True)
class Declared:
    """What one instance needs.

    user: of the node.
    queues: each one after the one that its dead letters go to. Their purposes are "tasks", "dead letters", "delays",
    "schedule", which is the right to send periodic tasks, and "revocations".
    delays: the topic exchange where the delays of all queues begin.
    words: by task queue, the end of a routing key that leads from there to it.
    others: the same for the queues of others that the node's tasks send to (CELERY_AGENT_SENDS).
    replies: what the names of queues for results begin with; empty where results don't come through the broker.
    declare: whether clients are set to declare all this themselves.
    """

    vhost: str
    user: str
    exchanges: tuple[Exchange, ...]
    queues: tuple[Queue, ...]
    bindings: tuple[Binding, ...]
    delays: str
    words: Mapping[str, str]
    others: Mapping[str, str]
    replies: str
    declare: bool

    def names(self, purpose: str) -> tuple[str, ...]:
        """Return the names of the queues for a purpose. A task queue's exchange has the same name."""
        return tuple(queue.name for queue in self.queues if queue.purpose == purpose)


@dataclass(frozen=True, slots=True)
class Footprint:
    """What a project's own app declares itself, sends to and reads, as regular expressions of names.

    user: of the node. own: its queues, and what leads to them. sends: exchanges that it only writes to.
    replies: queues for results, if they come through the broker. control: exchanges and queues of remote control.
    moves: what moves to its safe queues make. safe: by name, and as it is, those queues' dead-letter queues.
    """

    vhost: str
    user: str
    own: tuple[str, ...]
    sends: tuple[str, ...]
    replies: tuple[str, ...]
    control: tuple[str, ...]
    moves: tuple[str, ...]
    safe: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Needs:
    """What an instance needs of its broker: for task classes, None where it has none; and for the apps of projects."""

    declared: Declared | None
    footprints: tuple[Footprint, ...]


@dataclass(frozen=True, slots=True)
class Permission:
    """What a user may do in a vhost: three regular expressions for names of resources."""

    user: str
    vhost: str
    configure: str
    write: str
    read: str


@dataclass(frozen=True, slots=True)
class TopicPermission:
    """Which routing keys a user may send with, to a topic exchange that the user may write to."""

    user: str
    vhost: str
    exchange: str
    write: str


@dataclasses.dataclass(slots=True)
class _Rights:
    """Names of resources, and ends of routing keys, as regular expressions."""

    configure: set[str] = dataclasses.field(default_factory=set)
    write: set[str] = dataclasses.field(default_factory=set)
    read: set[str] = dataclasses.field(default_factory=set)
    words: set[str] = dataclasses.field(default_factory=set)


def needs_of(answer: Answer) -> Needs:
    """Return what the user's interpreter says that an instance needs; raises AgentError where it can't be told."""
    for text in answer.all("failed"):
        raise AgentError(text)
    if not answer.has("finished"):
        raise AgentError(f"The topology can't be told: {answer.printed.strip()[-200:] or 'the process ended early'}")
    found = answer.last("topology")
    footprints = tuple(
        Footprint(**{**each, **{name: tuple(each[name]) for name in ("own", "sends", "replies", "control", "moves")}})
        for each in answer.all("footprint")
    )
    return Needs(_declared(found) if found else None, footprints)


def _declared(found: Mapping[str, Any]) -> Declared:
    return Declared(
        **{
            **found,
            "exchanges": tuple(Exchange(**each) for each in found["exchanges"]),
            "queues": tuple(Queue(**each) for each in found["queues"]),
            "bindings": tuple(Binding(**each) for each in found["bindings"]),
        }
    )


def permissions(
    instances: Iterable[Needs], producers: Sequence[str], operators: Sequence[str]
) -> tuple[tuple[Permission, ...], tuple[TopicPermission, ...]]:
    """Return what the nodes' users, and the named others, may do."""
    found: dict[tuple[str, str], _Rights] = {}
    delays: dict[str, str] = {}
    needs = tuple(instances)
    for footprint in (each for need in needs for each in need.footprints):
        _let_work(found.setdefault((footprint.user, footprint.vhost), _Rights()), footprint)
        for user in producers:
            _let_produce(found.setdefault((user, footprint.vhost), _Rights()), footprint)
        for user in operators if footprint.safe else ():
            _let_operate(found.setdefault((user, footprint.vhost), _Rights()), footprint.safe, footprint.safe.values())
    for instance in (need.declared for need in needs if need.declared is not None):
        delays[instance.vhost] = instance.delays
        node = found.setdefault((instance.user, instance.vhost), _Rights())
        _let_send(node, instance)
        node.write.update(map(re.escape, instance.others))
        node.words.update(map(re.escape, instance.others.values()))
        own = ("tasks", "schedule", "revocations")
        node.read.update(re.escape(name) for purpose in own for name in instance.names(purpose))
        node.write.update(map(re.escape, instance.names("schedule")))
        if instance.replies:
            node.write.add(re.escape(DEFAULT_EXCHANGE))
        for user in producers:
            producer = found.setdefault((user, instance.vhost), _Rights())
            _let_send(producer, instance)
            if instance.replies:
                producer.configure.add(f"{re.escape(instance.replies)}.*")
                producer.read.add(f"{re.escape(instance.replies)}.*")
        for user in operators:
            operator = found.setdefault((user, instance.vhost), _Rights())
            _let_operate(operator, instance.names("tasks"), instance.names("dead letters"))
            operator.write.update(map(re.escape, instance.names("revocations")))
    return (
        tuple(
            Permission(user, vhost, pattern(each.configure), pattern(each.write), pattern(each.read))
            for (user, vhost), each in sorted(found.items())
        ),
        tuple(
            TopicPermission(user, vhost, exchange, pattern(words))
            for (user, vhost), each in sorted(found.items())
            if vhost in delays
            for exchange, words in ((delays[vhost], {rf".*\.{word}" for word in each.words}), (AMQ_TOPIC, set()))
        ),
    )


def _let_send(rights: _Rights, instance: Declared) -> None:
    """Let tasks be sent to the queues of an instance, now or later, and be revoked."""
    rights.write.update(map(re.escape, (*instance.names("tasks"), *instance.names("revocations"), instance.delays)))
    rights.words.update(map(re.escape, instance.words.values()))


def _let_produce(rights: _Rights, footprint: Footprint) -> None:
    """Let tasks be sent to an app, and their results be waited for, as Celery's clients do: they declare what they use."""
    rights.configure.update(footprint.own, footprint.replies)
    rights.read.update(footprint.own, footprint.replies)
    rights.write.update(footprint.own, footprint.replies, footprint.sends)


def _let_work(rights: _Rights, footprint: Footprint) -> None:
    _let_produce(rights, footprint)
    for each in (rights.configure, rights.write, rights.read):
        each.update(footprint.control, footprint.moves)


def _let_operate(rights: _Rights, queues: Iterable[str], dead: Iterable[str]) -> None:
    """Let dead letters be read, and sent back to their queues."""
    rights.write.update(map(re.escape, queues))
    rights.read.update(map(re.escape, dead))


def pattern(alternatives: set[str]) -> str:
    """Return a regular expression for names that are one of several expressions."""
    return f"^({'|'.join(sorted(alternatives))})$" if alternatives else NOTHING
