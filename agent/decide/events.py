"""What can happen to workers (events) and what can be done about it (actions).

Only values; `agent.decide.worker_state` and `agent.decide.supervisor` decide with them, `agent.run.daemon` makes and carries
them out. What a template or a worker says of itself is an event as it comes: `agent.guest.messages`.
Times are seconds of the monotonic clock.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from enum import IntEnum

from agent.decide.plan import Difference, Plan
from agent.decide.seen import Seen
from agent.guest.messages import Connecting, Consuming, Died, Fork, Forked, ForkFailed, Grown
from agent.guest.scoreboard import Pulse
from agent.guest.sight import Sight
from agent.guest.spec import Limits
from agent.guest.values import dataclass

__all__ = [
    "Connecting",
    "Consuming",
    "Died",
    "Fork",
    "Forked",
    "ForkFailed",
    "Grown",
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
    """The worker's process is gone; `status` as in `os.waitstatus_to_exitcode`: negative for a signal.

    running: the ids of the tasks that it ran. pulse: what it said of itself last, if anything.
    """

    status: int
    running: tuple[str, ...] = ()
    pulse: Pulse | None = None


@dataclass(frozen=True, slots=True)
class Unheard:
    """The worker can report no more, though its process is there: what runs in it has closed its socket, and maybe all else."""


@dataclass(frozen=True, slots=True)
class Replace:
    """The worker is to be replaced for what it does, or does not; it shows its stacks first, where it still can.

    reason: for people. suspects: the ids of the tasks that may be guilty of it.
    how: with a warm shutdown where its loop still turns, else by a kill.
    """

    reason: str
    suspects: tuple[str, ...] = ()
    how: Shutdown = Shutdown.KILL


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


@dataclass(frozen=True, slots=True)
class Own:
    """What this node's workers have to do with a queue: tasks that each has ended, by generation, and how many consume."""

    ended: Mapping[int, int] = field(default_factory=dict)
    consumers: int = 0


ABSENT = Own()  # what they have to do with a queue of others
Account = Mapping[str, Own]  # by queue


@dataclass(frozen=True, slots=True)
class Watched:
    """The watcher says what it has seen of the brokers; account: what the workers said of themselves by then."""

    sights: tuple[Sight, ...]
    account: Account


WorkerEvent = Up | Down | Forked | ForkFailed | Connecting | Consuming | Unheard | Replace | Exited | Tick | Stalled


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
    event: Forked | ForkFailed | Connecting | Consuming | Unheard | Exited | OutOfMemory | Grown | Died | Watched


@dataclass(frozen=True, slots=True)
class Due:
    """A deadline of this queue has passed."""

    queue: str


@dataclass(frozen=True, slots=True)
class Looked:
    """The queues were looked at: `seen` by the name, of the current worker.

    account: what all workers say of themselves. heard: when the watcher last gave a sign of life.
    """

    seen: Mapping[str, Seen]
    account: Account = field(default_factory=dict)
    heard: float = 0.0


@dataclass(frozen=True, slots=True)
class Inquired:
    """Somebody asks what the node is doing, and may ask again soon."""


@dataclass(frozen=True, slots=True)
class Settled:
    """The start is over: every queue is consumed from, or has had its time for it."""


@dataclass(frozen=True, slots=True)
class Confused:
    """The agent failed at an event of this queue, so that what it knows of the queue may be wrong."""

    queue: str


NodeEvent = Adopt | Drain | Happened | Due | Looked | Inquired | Settled | Confused | Stalled


# What is to be done.


@dataclass(frozen=True, slots=True)
class Stop:
    """Tell a process that is ours to go."""

    queue: str
    pid: int
    how: Shutdown


@dataclass(frozen=True, slots=True)
class ShowStacks:
    """Have a process that is ours write what its threads do to its stderr, since it is to be replaced for a reason."""

    queue: str
    pid: int
    reason: str


@dataclass(frozen=True, slots=True)
class Limit:
    """Hold a worker that lives on, or is about to be forked, to other limits."""

    queue: str
    generation: int
    pid: int | None
    limits: Limits


@dataclass(frozen=True, slots=True)
class Ask:
    """Have the watcher look soon."""

    queue: str
    generation: int


Action = Fork | Stop | ShowStacks | Limit | Ask
