"""What an instance is doing, as one value; it is shown by `agent status`, `--json` and systemd's status line.

`agent.decide.status_json` has its JSON form.
"""

from __future__ import annotations

from agent.decide.limits import Enforcement
from agent.decide.words import TROUBLES, UNHEALTHY, State
from agent.guest.spec import Limits
from agent.guest.values import dataclass

WAITING = "waiting for broker"
BROKER, OWN = "broker", "own"  # whose certificate


@dataclass(frozen=True, slots=True)
class TaskStatus:
    """A running task; `age` in seconds; again: whether the broker has delivered it before."""

    id: str
    name: str
    age: float
    again: bool = False


@dataclass(frozen=True, slots=True)
class QueueStatus:
    """One queue and its current worker.

    wanted: whether the plan has it; a queue that was removed is shown until its last task has ended.
    state: see `agent.decide.worker_state`.
    consuming: whether the broker has accepted the worker's consumer, its loop is alive and nothing keeps it from running tasks.
    unresponsive: seconds for which the worker's loop has been silent, where that is too long; else None.
    obstacle: what keeps the worker from running tasks, in its own words; None where nothing does.
    losing: why the results of its tasks can't be stored, and are lost; None where they can, or none was to be.
    clock: by how much the clock of this node is behind that of who sends to it, and what to do; empty where that is not seen.
    age: seconds in this state.
    active: the running tasks, oldest first; active_count counts those that are not listed too.
    succeeded, failed, retried, revoked: tasks that ended so in all processes that the queue has had.
    set_aside: of the failed, messages for which no task was run, or not once more.
    results_lost: tasks whose result could not be stored.
    restarts: processes that ended without having been told to; last_exit says how the newest did, or a pool process that
        was killed for want of memory; oom_kills counts both kinds of those.
    recycled: workers that were replaced for the memory that they held.
    lag: seconds by which the worker's newest beat came later than it was due.
    not_started: why the newest attempt to start the worker came to nothing; None once its process has reported or ended.
    limits: what the queue is held to; unenforced: the settings among them that nothing on this node enforces.
    retry_in: seconds until the next start, in state backoff.
    replacement: state of the worker that is to take over after a reload.
    draining: former workers that still finish their tasks.
    memory: bytes (PSS), cpu: seconds, processes: how many; None, and 0, where there is no process or it was not measured.
    waiting, consumers, rate_in, rate_out, oldest, unseen: what the broker says of it, see `agent.decide.backlog`.
    exchange, dead_letters: what leads to it at the broker, and where what it could not get done goes; empty where that is
        not known, or there is none. dead: messages there; None where that is not known.
    health: one word, see `agent.decide.health`, empty from an agent that has none for it; cause: a sentence for people,
        empty where there is nothing to say; health_age: seconds in this health.
    """

    queue: str
    wanted: bool
    state: str
    pid: int | None
    generation: int
    consuming: bool
    unresponsive: float | None
    obstacle: str | None
    losing: str | None
    age: float
    pool: str
    concurrency: int
    tasks: tuple[str, ...]
    active: tuple[TaskStatus, ...]
    active_count: int
    succeeded: int
    failed: int
    retried: int
    restarts: int
    last_exit: str | None
    oom_kills: int
    not_started: str | None
    limits: Limits
    unenforced: tuple[str, ...]
    retry_in: float | None
    replacement: str | None
    draining: int
    memory: int | None
    cpu: float | None
    processes: int
    waiting: int | None = None
    consumers: int | None = None
    rate_in: float | None = None
    rate_out: float | None = None
    oldest: float | None = None
    unseen: str = ""
    health: str = ""
    cause: str = ""
    health_age: float = 0.0
    exchange: str = ""
    dead_letters: str = ""
    dead: int | None = None
    recycled: int = 0
    lag: float = 0.0
    revoked: int = 0
    set_aside: int = 0
    results_lost: int = 0
    clock: str = ""

    def trouble(self) -> str | None:
        """Return why it runs nothing, for people; None where it is being consumed from, or is to go."""
        if self.consuming or not self.wanted:
            return None
        if self.cause and self.health in TROUBLES:
            return self.cause
        if self.obstacle is not None:
            return self.obstacle
        if self.unresponsive is not None:
            return f"its worker has been silent for {self.unresponsive:.0f} s"
        ended = self.last_exit if self.not_started is None else f"could not be started: {self.not_started}"
        return ", ".join(filter(None, (self.state_in_words, ended)))

    @property
    def is_unhealthy(self) -> bool:
        """Whether something is wrong with the queue or its worker, and not with its broker."""
        return self.wanted and self.health in UNHEALTHY

    @property
    def state_in_words(self) -> str:
        """The state of its worker, for people."""
        return WAITING if self.state == State.CONNECTING.value else self.state


@dataclass(frozen=True, slots=True)
class EntryStatus:
    """A periodic task: when it was last sent, None for never, and when it is next; in seconds since the epoch."""

    entry: str
    last: float | None
    next: float


@dataclass(frozen=True, slots=True)
class ScheduleStatus:
    """The periodic tasks of an instance.

    queue: the one that is the right to send; its row among the queues is about the process.
    leads: whether it is this node that sends. entries: the next ones first, where it does; count: how many there are in all.
    """

    queue: str
    source: str
    leads: bool
    entries: tuple[EntryStatus, ...]
    count: int


@dataclass(frozen=True, slots=True)
class CertificateStatus:
    """A certificate in use with a broker; whose: BROKER or OWN; expires: in seconds since the epoch."""

    broker: str
    whose: str
    expires: float


@dataclass(frozen=True, slots=True)
class BrokerStatus:
    """One broker of those that the instance may use: why it can't be reached, in one word, and what it says for people.

    reason: see `agent.decide.backlog`; empty where it was reached.
    """

    broker: str
    reason: str
    text: str


@dataclass(frozen=True, slots=True)
class Status:
    """One instance; `uptime` in seconds, `summary` the line for people.

    app: the project's own app that it hosts as it is; empty where it hosts task classes only.
    schedule: its periodic tasks; None where it has none.
    watcher: what is wrong with the process that asks the broker about the queues; empty where it works.
    certificates: those that it has seen last, of each broker and of our own.
    brokers: those that this process has tried, in the order in which they are tried.
    state_folder: where the agent keeps what outlasts it; unkept: why that can't be written, and what to do, empty where it can.
    """

    instance: str
    version: str
    pid: int
    uptime: float
    state: str
    summary: str
    broker: str
    embedded: bool
    memory: int | None
    reload_error: str | None
    enforcement: Enforcement
    queues: tuple[QueueStatus, ...]
    app: str = ""
    schedule: ScheduleStatus | None = None
    watcher: str = ""
    certificates: tuple[CertificateStatus, ...] = ()
    brokers: tuple[BrokerStatus, ...] = ()
    state_folder: str = ""
    unkept: str = ""

    def is_consuming(self) -> bool:
        """Say whether every queue is being consumed from by a worker of the present plan."""
        wanted = [queue for queue in self.queues if queue.wanted]
        return self.state == "running" and all(queue.consuming and queue.replacement is None for queue in wanted)

    def is_degraded(self) -> bool:
        """Say whether something needs a look: it starts or stops, a queue runs nothing, or a reload was refused."""
        is_served = all(queue.consuming for queue in self.queues if queue.wanted)
        return self.state != "running" or not is_served or self.reload_error is not None
