"""The watcher of a node, the one process that asks the brokers, and what it has said."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field

from agent.decide.looks import Looks
from agent.decide.plan import Plan
from agent.decide.worker_state import Worker
from agent.guest.sight import Asked, Sight
from agent.guest.values import dataclass


@dataclass(frozen=True, slots=True)
class Watch:
    """The watcher, and what it has said.

    plan: whose queues it is to watch.
    last_exit: how its newest process ended without having been told to; empty where none did.
    sights: what it said last, at the time `seen`.
    turned: when what it says of the brokers was last another than before.
    looks: at each queue that could be asked about.
    """

    worker: Worker
    plan: Plan
    last_exit: str = ""
    sights: tuple[Sight, ...] = ()
    seen: float = 0.0
    turned: float = 0.0
    looks: Mapping[str, Looks] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """What it goes by, among the queues."""
        return self.worker.spec.queue

    def asked(self) -> tuple[Asked, ...]:
        """Return what it said last of each queue."""
        return tuple(asked for sight in self.sights for asked in sight.queues)
