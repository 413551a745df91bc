"""How the status of an instance is made: from the supervisor's state, the workers' pulses and samples of their processes."""

from __future__ import annotations

from collections.abc import Mapping

from agent.decide.backlog import Backlog
from agent.decide.counts import NOTHING
from agent.decide.endings import ending_text
from agent.decide.health import SILENCE, common
from agent.decide.keeping import Keeping
from agent.decide.limits import Enforcement, unenforced, without_cgroup
from agent.decide.node import Node
from agent.decide.plan import Way, app_of
from agent.decide.status import (
    BROKER,
    OWN,
    WAITING,
    BrokerStatus,
    CertificateStatus,
    EntryStatus,
    QueueStatus,
    ScheduleStatus,
    Status,
    TaskStatus,
)
from agent.decide.view import View
from agent.decide.words import State, Word
from agent.decide.worker_state import Worker
from agent.guest.scoreboard import MORE, Pulse
from agent.guest.values import dataclass

UNHEARD = "code in its worker has closed its socket to the agent; another is started once its tasks have ended"
NTP = "have both keep their time (NTP)"
UNKNOWN = Way("", "", "")


@dataclass(frozen=True, slots=True)
class Sample:
    """What the kernel says of a worker's processes: bytes of memory (PSS) and seconds of CPU, pool children included."""

    memory: int
    cpu: float
    processes: int


NOT_LOOKED_FOR = without_cgroup("not looked for yet")


@dataclass(frozen=True, slots=True)
class Agent:
    """What the daemon knows of itself; `started` and the other times in seconds of the monotonic clock.

    behind: the queues whose workers have met a clock that is ahead of this node's.
    """

    instance: str
    version: str
    pid: int
    started: float
    enforcement: Enforcement = NOT_LOOKED_FOR
    reload_error: str | None = None
    keeping: Keeping = Keeping()
    behind: tuple[str, ...] = ()


def snapshot(
    agent: Agent,
    node: Node,
    pulses: Mapping[int, Pulse],
    seen: View,
    samples: Mapping[int, Sample],
    now: float,
) -> Status:
    """Return the status of an instance; pulses and samples by pid, seen: what is known of the brokers."""
    ways = {} if node.plan is None else {each.queue: each for each in node.plan.ways}
    queues = tuple(
        _queue_status(name, node, ways.get(name, UNKNOWN), seen.backlog(name), agent.enforcement, pulses, samples, now)
        for name in sorted(node.queues)
    )
    own = samples.get(agent.pid)
    return Status(
        instance=agent.instance,
        version=agent.version,
        pid=agent.pid,
        uptime=round(now - agent.started, 3),
        state="starting" if node.plan is None else "stopping" if node.draining else "running",
        summary=summary(node, _held_up(queues)),
        broker="" if node.plan is None else node.plan.broker,
        embedded=node.plan is not None and node.plan.embedded,
        memory=None if own is None else own.memory,
        reload_error=agent.reload_error,
        enforcement=agent.enforcement,
        queues=queues,
        app="" if node.plan is None else app_of(node.plan),
        schedule=_schedule(node, pulses),
        watcher=seen.watcher,
        certificates=_certificates(node),
        brokers=tuple(BrokerStatus(each.broker, each.reason, each.text) for each in seen.reaches),
        state_folder=agent.keeping.folder,
        unkept=agent.keeping.fault,
    )


def summary(node: Node, held_up: str = "") -> str:
    """Return one line on all queues, for systemd's STATUS= and the head of `agent status`.

    held_up: what is to be said of those that are consumed from.
    """
    if node.plan is None:
        return "reading the configuration"
    if node.draining:
        return f"stopping, {_count(len(node.queues))} left"
    wanted = [queue.current for queue in node.queues.values() if queue.current.wanted]
    states = [worker.state for worker in wanted if worker.spec.schedule is None]
    parts = []
    consuming = states.count(State.CONSUMING)
    if consuming == len(states):
        parts.append(f"consuming from {_count(consuming)}{held_up}")
    else:
        parts.append(f"consuming from {consuming} of {_count(len(states))}{held_up}")
    for state, words in _TROUBLES.items():
        if state in states:
            parts.append(f"{states.count(state)} {words}")
    parts += [f"schedule {_TROUBLES[each.state]}" for each in wanted if each.spec.schedule and each.state in _TROUBLES]
    if node.plan.embedded:
        parts.append("embedded broker: for trying out, tasks can be lost")
    wrong = common({name: node.health[name] for name in _judged(node)})
    return f"{', '.join(parts)}; {wrong}{MORE}" if wrong else ", ".join(parts)


def systemd_line(agent: Agent, node: Node) -> str:
    """Return the summary, and what is wrong with the instance itself."""
    refused = "" if agent.reload_error is None else f"last reload refused: {agent.reload_error}"
    clock = f"this node's clock is behind that of who sends to {', '.join(agent.behind)}: {NTP}" if agent.behind else ""
    return "; ".join(filter(None, (summary(node), refused, agent.keeping.fault, clock)))


def _judged(node: Node) -> list[str]:
    """Return the queues of the plan whose worker has been looked at in its present state."""
    known = [(name, queue.current, node.health.get(name)) for name, queue in node.queues.items()]
    return [name for name, worker, health in known if worker.wanted and health and health.at >= worker.since]


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
    State.CONNECTING: WAITING,
    State.BACKOFF: "failing",
}


def _queue_status(
    name: str,
    node: Node,
    way: Way,
    backlog: Backlog,
    enforcement: Enforcement,
    pulses: Mapping[int, Pulse],
    samples: Mapping[int, Sample],
    now: float,
) -> QueueStatus:
    queue, health = node.queues[name], node.health.get(name)
    worker = queue.current
    pulse = (None if worker.pid is None else pulses.get(worker.pid)) or Pulse(at=now)
    sample = None if worker.pid is None else samples.get(worker.pid)
    silent = _unresponsive(worker, pulse, now)
    counts = node.counts.get(name, NOTHING).with_those_of(pulses.get(each.pid or 0) for each in queue.workers())
    takes = health is None or health.verdict.word not in (Word.HUNG, Word.DEAF)
    return QueueStatus(
        queue=name,
        wanted=worker.wanted,
        state=worker.state.value,
        pid=worker.pid,
        generation=worker.generation,
        consuming=worker.state is State.CONSUMING and silent is None and not pulse.obstacle and takes,
        unresponsive=silent,
        obstacle=pulse.obstacle or (UNHEARD if worker.unheard and worker.state is State.STOPPING else None),
        losing=pulse.losing or None,
        clock=pulse.clock,
        age=round(now - worker.since, 3),
        pool=worker.spec.pool,
        concurrency=worker.spec.concurrency,
        tasks=worker.spec.tasks,
        active=tuple(TaskStatus(task.id, task.name, round(now - task.started, 3), task.again) for task in pulse.active),
        active_count=pulse.active_count,
        succeeded=counts.succeeded,
        failed=counts.failed,
        retried=counts.retried,
        revoked=counts.revoked,
        set_aside=counts.set_aside,
        results_lost=counts.results_lost,
        restarts=queue.restarts,
        last_exit=None if queue.last_exit is None else ending_text(queue.last_exit),
        oom_kills=queue.oom_kills,
        recycled=queue.recycled,
        lag=pulse.lag,
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
        waiting=backlog.waiting,
        consumers=backlog.consumers,
        rate_in=_rounded(backlog.rate_in),
        rate_out=_rounded(backlog.rate_out),
        oldest=_rounded(backlog.oldest),
        unseen=backlog.unseen,
        exchange=way.exchange,
        dead_letters=way.dead_letters,
        dead=backlog.dead,
        health="" if health is None else health.verdict.word.value,
        cause="" if health is None else health.verdict.cause,
        health_age=0.0 if health is None else round(now - health.since, 3),
    )


def _certificates(node: Node) -> tuple[CertificateStatus, ...]:
    """Return what was seen last, also while a broker is away: a certificate's time goes on."""
    sights = () if node.watch is None else node.watch.sights
    reaches = {reach.broker: reach for sight in sights for reach in sight.reaches}
    return tuple(
        CertificateStatus(reach.broker, whose, expires)
        for reach in reaches.values()
        for whose, expires in ((BROKER, reach.expires), (OWN, reach.own_expires))
        if expires is not None
    )


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 3)


def _schedule(node: Node, pulses: Mapping[int, Pulse]) -> ScheduleStatus | None:
    """Return the periodic tasks as the process says that sends them: of two, while one is replaced, the one that leads."""
    found = [(worker, worker.spec.schedule) for worker in node.workers() if worker.spec.schedule is not None]
    if not found:
        return None
    told = [pulse for worker, _ in found if (pulse := pulses.get(worker.pid or 0)) is not None]
    pulse = max(told, key=lambda each: each.leads, default=Pulse(at=0.0))
    worker, schedule = found[0]
    entries = tuple(EntryStatus(*tick) for tick in pulse.ticks)
    return ScheduleStatus(worker.spec.queue, schedule.entries, pulse.leads, entries, pulse.tick_count)


def _unresponsive(worker: Worker, pulse: Pulse, now: float) -> float | None:
    """Return how long a worker that should be beating has been silent, if too long.

    While it reaches for the broker a worker may block in the attempt; and the solo pool runs its tasks in the very loop
    that beats, so silence during a task says nothing.
    """
    if worker.state is not State.CONSUMING or (worker.spec.pool == "solo" and pulse.active):
        return None
    silent = now - pulse.at
    return round(silent, 3) if silent > SILENCE else None
