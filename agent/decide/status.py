"""What an instance is doing, as one value; it is shown by `agent status`, `--json` and systemd's status line.

The JSON form is documented in docs/status.md; SCHEMA grows when a reader of the old form could be misled.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from agent.decide.limits import Enforcement
from agent.decide.worker_state import State
from agent.errors import ProtocolError
from agent.guest.decoding import read
from agent.guest.spec import Limits

SCHEMA = 1
WAITING = "waiting for broker"


@dataclass(frozen=True, slots=True)
class TaskStatus:
    """A running task; `age` in seconds."""

    id: str
    name: str
    age: float


@dataclass(frozen=True, slots=True)
class QueueStatus:
    """One queue and its current worker.

    wanted: whether the plan has it; a queue that was removed is shown until its last task has ended.
    state: see `agent.decide.worker_state`.
    consuming: whether the broker has accepted the worker's consumer, its loop is alive and nothing keeps it from running tasks.
    unresponsive: seconds for which the worker's loop has been silent, where that is too long; else None.
    obstacle: what keeps the worker from running tasks, in its own words; None where nothing does.
    losing: why the results of its tasks can't be stored, and are lost; None where they can, or none was to be.
    age: seconds in this state.
    active: the running tasks, oldest first; active_count counts those that are not listed too.
    succeeded, failed, retried: tasks since the worker's process started.
    restarts: processes that ended without having been told to; last_exit says how the newest did, or a pool process that
        was killed for want of memory; oom_kills counts both kinds of those.
    not_started: why the newest attempt to start the worker came to nothing; None once its process has reported or ended.
    limits: what the queue is held to; unenforced: the settings among them that nothing on this node enforces.
    retry_in: seconds until the next start, in state backoff.
    replacement: state of the worker that is to take over after a reload.
    draining: former workers that still finish their tasks.
    memory: bytes (PSS), cpu: seconds, processes: how many; None, and 0, where there is no process or it was not measured.
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

    def trouble(self) -> str | None:
        """Return why it runs nothing, for people; None where it is being consumed from, or is to go."""
        if self.consuming or not self.wanted:
            return None
        if self.obstacle is not None:
            return self.obstacle
        if self.unresponsive is not None:
            return f"its worker has been silent for {self.unresponsive:.0f} s"
        ended = self.last_exit if self.not_started is None else f"could not be started: {self.not_started}"
        return ", ".join(filter(None, (self.state_in_words, ended)))

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
class Status:
    """One instance; `uptime` in seconds, `summary` the line for people.

    app: the project's own app that it hosts as it is; empty where it hosts task classes only.
    schedule: its periodic tasks; None where it has none.
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

    def is_consuming(self) -> bool:
        """Say whether every queue is being consumed from by a worker of the present plan."""
        wanted = [queue for queue in self.queues if queue.wanted]
        return self.state == "running" and all(queue.consuming and queue.replacement is None for queue in wanted)

    def is_degraded(self) -> bool:
        """Say whether something needs a look: it starts or stops, a queue runs nothing, or a reload was refused."""
        is_served = all(queue.consuming for queue in self.queues if queue.wanted)
        return self.state != "running" or not is_served or self.reload_error is not None


def encode_status(status: Status) -> dict[str, Any]:
    """Return a status as JSON types, with its schema number."""
    return {"schema": SCHEMA, **asdict(status)}


def decode_status(value: Any) -> Status:
    """Return the status that `encode_status` made a mapping of; raises ProtocolError."""
    schema = value.get("schema") if isinstance(value, Mapping) else None
    if isinstance(schema, int) and schema != SCHEMA:
        raise ProtocolError(f"the agent speaks status schema {schema}, this command {SCHEMA}: upgrade the older one")
    if isinstance(value, Mapping):
        value = {"app": "", "schedule": None, **value}  # an agent that knows of none says nothing of it
    try:
        return read(Status, value)
    except ValueError as error:
        raise ProtocolError(f"a status was expected, but {error}") from error
