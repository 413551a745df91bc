"""What an instance is doing, as one value.

It is made from the supervisor's state, the workers' pulses and samples of their processes, and shown by `agent status`,
`--json` and systemd's status line.

The JSON form is documented in docs/status.md; SCHEMA grows when a reader of the old form could be misled.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from agent.decide.endings import ending_text
from agent.decide.limits import Enforcement, unenforced, without_cgroup
from agent.decide.node import Node, Queue
from agent.decide.worker_state import State, Worker
from agent.errors import ProtocolError
from agent.guest.decoding import read
from agent.guest.scoreboard import IDLE_BEAT, Pulse
from agent.guest.spec import Limits

SCHEMA = 1
UNHEARD = "code in its worker has closed its socket to the agent; another is started once its tasks have ended"
SILENCE = 3 * IDLE_BEAT  # seconds without a pulse after which a worker's loop counts as hung


@dataclass(frozen=True, slots=True)
class Sample:
    """What the kernel says of a worker's processes: bytes of memory (PSS) and seconds of CPU, pool children included."""

    memory: int
    cpu: float
    processes: int


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
        silent = None if self.unresponsive is None else f"its worker has been silent for {self.unresponsive:.0f} s"
        words = {State.CONNECTING.value: "waiting for broker"}.get(self.state, self.state)
        ended = None if self.not_started is None else f"could not be started: {self.not_started}"
        return self.obstacle or silent or ", ".join(filter(None, (words, ended or self.last_exit)))


@dataclass(frozen=True, slots=True)
class Status:
    """One instance; `uptime` in seconds, `summary` the line for people.

    app: the project's own app that it hosts as it is; empty where it hosts task classes only.
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

    def is_consuming(self) -> bool:
        """Say whether every queue is being consumed from by a worker of the present plan."""
        wanted = [queue for queue in self.queues if queue.wanted]
        return self.state == "running" and all(queue.consuming and queue.replacement is None for queue in wanted)

    def is_degraded(self) -> bool:
        """Say whether something needs a look: it starts or stops, a queue runs nothing, or a reload was refused."""
        is_served = all(queue.consuming for queue in self.queues if queue.wanted)
        return self.state != "running" or not is_served or self.reload_error is not None


NOT_LOOKED_FOR = without_cgroup("not looked for yet")


@dataclass(frozen=True, slots=True)
class Agent:
    """What the daemon knows of itself; `started` and the other times in seconds of the monotonic clock."""

    instance: str
    version: str
    pid: int
    started: float
    enforcement: Enforcement = NOT_LOOKED_FOR
    reload_error: str | None = None


def snapshot(
    agent: Agent,
    node: Node,
    pulses: Mapping[int, Pulse],
    samples: Mapping[int, Sample],
    now: float,
) -> Status:
    """Return the status of an instance; pulses and samples by pid."""
    queues = tuple(
        _queue_status(name, node.queues[name], agent.enforcement, pulses, samples, now) for name in sorted(node.queues)
    )
    own = samples.get(agent.pid)
    return Status(
        instance=agent.instance,
        version=agent.version,
        pid=agent.pid,
        uptime=round(now - agent.started, 3),
        state="starting" if node.plan is None else "stopping" if node.draining else "running",
        summary=summary(node) + _held_up(queues),
        broker="" if node.plan is None else node.plan.broker,
        embedded=node.plan is not None and node.plan.embedded,
        memory=None if own is None else own.memory,
        reload_error=agent.reload_error,
        enforcement=agent.enforcement,
        queues=queues,
        app="" if node.plan is None else node.plan.template.app,
    )


def summary(node: Node) -> str:
    """Return one line on all queues, for systemd's STATUS= and the head of `agent status`."""
    if node.plan is None:
        return "reading the configuration"
    if node.draining:
        return f"stopping, {_count(len(node.queues))} left"
    states = [queue.current.state for queue in node.queues.values() if queue.current.wanted]
    parts = []
    consuming = states.count(State.CONSUMING)
    if consuming == len(states):
        parts.append(f"consuming from {_count(consuming)}")
    else:
        parts.append(f"consuming from {consuming} of {_count(len(states))}")
    for state, words in _TROUBLES.items():
        if state in states:
            parts.append(f"{states.count(state)} {words}")
    if node.plan.embedded:
        parts.append("embedded broker: for trying out, tasks can be lost")
    return ", ".join(parts)


def _held_up(queues: tuple[QueueStatus, ...]) -> str:
    """Return what is to be added to the summary where a worker has its consumer, and runs nothing."""
    held_up = [
        queue for queue in queues if queue.wanted and queue.state == State.CONSUMING.value and not queue.consuming
    ]
    return f", of which {len(held_up)} run nothing" if held_up else ""


def _count(queues: int) -> str:
    return "1 queue" if queues == 1 else f"{queues} queues"


_TROUBLES = {
    State.STARTING: "starting",
    State.CONNECTING: "waiting for broker",
    State.BACKOFF: "failing",
}


def encode_status(status: Status) -> dict[str, Any]:
    """Return a status as JSON types, with its schema number."""
    return {"schema": SCHEMA, **asdict(status)}


def decode_status(value: Any) -> Status:
    """Return the status that `encode_status` made a mapping of; raises ProtocolError."""
    schema = value.get("schema") if isinstance(value, Mapping) else None
    if isinstance(schema, int) and schema != SCHEMA:
        raise ProtocolError(f"the agent speaks status schema {schema}, this command {SCHEMA}: upgrade the older one")
    if isinstance(value, Mapping):
        value = {"app": "", **value}  # an agent that knows of none says nothing of it
    try:
        return read(Status, value)
    except ValueError as error:
        raise ProtocolError(f"a status was expected, but {error}") from error


def _queue_status(
    name: str,
    queue: Queue,
    enforcement: Enforcement,
    pulses: Mapping[int, Pulse],
    samples: Mapping[int, Sample],
    now: float,
) -> QueueStatus:
    worker = queue.current
    pulse = (None if worker.pid is None else pulses.get(worker.pid)) or Pulse(at=now)
    sample = None if worker.pid is None else samples.get(worker.pid)
    silent = _unresponsive(worker, pulse, now)
    return QueueStatus(
        queue=name,
        wanted=worker.wanted,
        state=worker.state.value,
        pid=worker.pid,
        generation=worker.generation,
        consuming=worker.state is State.CONSUMING and silent is None and not pulse.obstacle,
        unresponsive=silent,
        obstacle=pulse.obstacle or (UNHEARD if worker.unheard and worker.state is State.STOPPING else None),
        losing=pulse.losing or None,
        age=round(now - worker.since, 3),
        pool=worker.spec.pool,
        concurrency=worker.spec.concurrency,
        tasks=worker.spec.tasks,
        active=tuple(TaskStatus(task.id, task.name, round(now - task.started, 3)) for task in pulse.active),
        active_count=pulse.active_count,
        succeeded=pulse.succeeded,
        failed=pulse.failed,
        retried=pulse.retried,
        restarts=queue.restarts,
        last_exit=None if queue.last_exit is None else ending_text(queue.last_exit),
        oom_kills=queue.oom_kills,
        not_started=worker.not_started,
        limits=worker.spec.limits,
        unenforced=unenforced(worker.spec.limits, enforcement),
        retry_in=None
        if worker.state is not State.BACKOFF or worker.deadline is None
        else round(worker.deadline - now, 3),
        replacement=None if queue.successor is None else queue.successor.state.value,
        draining=len(queue.retiring),
        memory=None if sample is None else sample.memory,
        cpu=None if sample is None else sample.cpu,
        processes=0 if sample is None else sample.processes,
    )


def _unresponsive(worker: Worker, pulse: Pulse, now: float) -> float | None:
    """Return how long a worker that should be beating has been silent, if too long.

    While it reaches for the broker a worker may block in the attempt; and the solo pool runs its tasks in the very loop
    that beats, so silence during a task says nothing.
    """
    if worker.state is not State.CONSUMING or (worker.spec.pool == "solo" and pulse.active):
        return None
    silent = now - pulse.at
    return round(silent, 3) if silent > SILENCE else None
