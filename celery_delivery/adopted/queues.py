"""The queues of an app that was made by others, some or all of which are to lose nothing.

A queue that exists can't become another kind (406 PRECONDITION_FAILED), and whoever runs with the old settings goes on to
declare the old one. So the safe queue of `mail` has a name of its own on the broker, `mail.safe`. For Celery it is `mail`: in
routes, in `queue=`, in `celery worker -Q`. `docs/decisions/0022-a-safe-queue-has-a-name-of-its-own.md` has the reasons.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from celery.app.amqp import Queues
from kombu import Exchange, Queue
from kombu.common import Broadcast

from celery_delivery.errors import SettingError
from celery_delivery.topology.queues import TaskQueue, arguments_of, declare, topology

# Arguments that a quorum queue does not take, or by which it would lose tasks.
_UNFIT = ("x-max-priority", "x-queue-mode", "x-expires")


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which queues of an app are to be safe, by Celery's names, None for all that can; and what the broker's names end with."""

    queues: frozenset[str] | None
    suffix: str

    def has(self, name: str) -> bool:
        """Say whether a queue is wanted."""
        return self.queues is None or name in self.queues


class SafeQueue(TaskQueue):
    """A safe queue by Celery's name, its alias; `name` is the broker's.

    A priority is taken as it comes: the project had it before.
    """

    has_order = False

    def declare(self, nowait: bool = False, channel: Any = None) -> str:
        """Declare what the queue needs, with the arguments that the project has added; wait for all of it at once, or not."""
        channel = channel or self.channel
        needed = topology([self.name], {self.name: self.queue_arguments})
        declare(needed, channel)
        if not nowait:
            self.queue_declare(passive=True, channel=channel)
        return str(self.name)


class SafeQueues(Queues):
    """Celery's queues, in which those that are wanted are safe."""

    wanted: Wanted

    def __setitem__(self, name: str, queue: Queue) -> None:
        super().__setitem__(name, queue)
        called = queue.alias or name  # the name of a broadcast queue is another in each process
        if isinstance(queue, SafeQueue) or not self.wanted.has(called):
            return
        reason = unfit(queue, self.default_exchange)
        if reason is None:
            super().__setitem__(name, _safe(name, queue, self.wanted.suffix))
        elif self.wanted.queues is not None:
            raise SettingError(f"make_safe is given the queue {called!r}, which {reason}: leave it out")

    def __missing__(self, name: str) -> Queue:
        base = name.removesuffix(self.wanted.suffix)
        if base != name and self.wanted.has(base):  # as the broker calls it: in what a message says of its way
            return self[base]
        super().__missing__(name)
        return self[name]

    def add(self, queue: Any, **options: Any) -> Queue:
        """Add a queue; return it as it is kept."""
        name = queue.name if isinstance(queue, Queue) else queue
        super().add(queue, **options)
        return self[name]

    @property
    def safe(self) -> Iterable[SafeQueue]:
        """Those that are safe."""
        return [each for each in self.values() if isinstance(each, SafeQueue)]


def unfit(queue: Queue, default: Exchange | None = None) -> str | None:
    """Return why a queue can't be safe by its kind, None where it can.

    Celery sends to a queue of a direct exchange by the queue's name alone. What others lead to can't be told.
    """
    exchange = queue.exchange
    if isinstance(queue, Broadcast) or exchange.type == "fanout":
        return "is for broadcasts"
    if exchange.type != "direct":
        return f"is bound to the exchange {exchange.name!r} of type {exchange.type}"
    if queue.bindings or exchange.name not in {"", queue.name, default.name if default else ""}:
        return f"is bound to the exchange {exchange.name!r}"
    if queue.exclusive or queue.auto_delete or not queue.durable:
        return "does not outlive its users"
    return None


def _safe(name: str, queue: Queue, suffix: str) -> SafeQueue:
    called = f"{name}{suffix}"
    ours, own = arguments_of(called), dict(queue.queue_arguments or {})
    for argument, value in own.items():
        if argument in _UNFIT or ours.get(argument, value) != value:
            raise SettingError(
                f"queue {name!r} has the argument {argument}={value!r}, with which make_safe can't make it safe: remove it "
                "(x-max-priority may come from task_queue_max_priority), or leave the queue out with queues=[…]"
            )
    return SafeQueue(
        called,
        Exchange(called, type="direct", durable=True),
        routing_key=called,
        durable=True,
        alias=name,
        queue_arguments={**own, **ours},
        consumer_arguments=queue.consumer_arguments,
    )
