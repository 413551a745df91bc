"""What can happen to workers (events) and what can be done about it (actions).

Only values; `agent.decide.worker_state` and `agent.decide.supervisor` decide with them, `agent.run.daemon` makes and carries
them out. What a template or a worker says of itself is an event as it comes: `agent.guest.messages`.
Times are seconds of the monotonic clock.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

from agent.decide.plan import Difference, Plan
from agent.guest.messages import Connecting, Consuming, Fork, Forked, ForkFailed
from agent.guest.spec import Limits

__all__ = [
    "Connecting",
    "Consuming",
    "Fork",
    "Forked",
    "ForkFailed",
]  # what a template and a worker say is what happened


class ImpossibleEvent(Exception):
    """Something is told to have happened that can't happen in this state: a fault of the agent's own."""


class Shutdown(IntEnum):
    """How a worker is told to go, gentlest first (Celery's own terms)."""

    WARM = 1  # take no new tasks, finish the running ones
    COLD = 2  # cancel the running tasks, give their messages back to the broker
    KILL = 3  # no say in the matter


# What happens to one worker.


@dataclass(frozen=True, slots=True)
class Up:
    """The plan wants this worker running."""


@dataclass(frozen=True, slots=True)
class Down:
    """The plan, or an operator, wants this worker gone, at least as fast as `how` says."""

    how: Shutdown = Shutdown.WARM


@dataclass(frozen=True, slots=True)
class Exited:
    """The worker's process is gone; `status` as in `os.waitstatus_to_exitcode`: negative for a signal."""

    status: int


@dataclass(frozen=True, slots=True)
class Unheard:
    """The worker can report no more, though its process is there: what runs in it has closed its socket, and maybe all else."""


@dataclass(frozen=True, slots=True)
class Tick:
    """Time has passed; deadlines may have."""


@dataclass(frozen=True, slots=True)
class Stalled:
    """Nothing ran for so many seconds (a stopped process, a paused machine): no deadline was fair meanwhile."""

    seconds: float


@dataclass(frozen=True, slots=True)
class OutOfMemory:
    """The kernel has killed processes of the worker for want of memory: its main process, or only pool children.

    limit: the bytes that it ran into where they were its own memory.max; None where the service or the node had no more.
    """

    processes: int
    limit: int | None


WorkerEvent = Up | Down | Forked | ForkFailed | Connecting | Consuming | Unheard | Exited | Tick | Stalled


# What happens to the node.


@dataclass(frozen=True, slots=True)
class Adopt:
    """A valid plan is there: at the start, or by a reload; `change` is how it differs from the one before."""

    plan: Plan
    change: Difference


@dataclass(frozen=True, slots=True)
class Drain:
    """The agent itself is told to go, at least as fast as `how` says."""

    how: Shutdown


@dataclass(frozen=True, slots=True)
class Happened:
    """Something happened to the worker of this queue and generation."""

    queue: str
    generation: int
    event: Forked | ForkFailed | Connecting | Consuming | Unheard | Exited | OutOfMemory


@dataclass(frozen=True, slots=True)
class Due:
    """A deadline of this queue has passed."""

    queue: str


@dataclass(frozen=True, slots=True)
class Confused:
    """The agent failed at an event of this queue, so that what it knows of the queue may be wrong."""

    queue: str


NodeEvent = Adopt | Drain | Happened | Due | Confused | Stalled


# What is to be done.


@dataclass(frozen=True, slots=True)
class Stop:
    """Tell a process that is ours to go."""

    queue: str
    pid: int
    how: Shutdown


@dataclass(frozen=True, slots=True)
class Limit:
    """Hold a worker that lives on, or is about to be forked, to other limits."""

    queue: str
    generation: int
    pid: int | None
    limits: Limits


Action = Fork | Stop | Limit
