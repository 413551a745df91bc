"""How the status of an instance is made: from the supervisor's state, the workers' pulses and samples of their processes.

The rows of its queues are made in `agent.decide.rows`.
"""

from __future__ import annotations

from collections.abc import Mapping

from agent.decide.health import common
from agent.decide.keeping import Keeping
from agent.decide.limits import Enforcement, without_cgroup
from agent.decide.node import Node
from agent.decide.plan import app_of
from agent.decide.rows import Rows, Sample
from agent.decide.status import (
    BROKER,
    OWN,
    WAITING,
    BrokerStatus,
    CertificateStatus,
    EntryStatus,
    ScheduleStatus,
    Status,
)
from agent.decide.status_json import text_with
from agent.decide.view import View
from agent.decide.words import State
from agent.guest.scoreboard import MORE, Pulse
from agent.guest.values import dataclass

NTP = "have both keep their time (NTP)"
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
    rows: Rows,
) -> str:
    """Return the status of an instance, as text; pulses and samples by pid, seen: what is known of the brokers."""
    queues = rows.of(node, pulses, seen, samples, agent.enforcement, now)
    own = samples.get(agent.pid)
    status = Status(
        instance=agent.instance,
        version=agent.version,
        pid=agent.pid,
        uptime=round(now - agent.started, 3),
        state="starting" if node.plan is None else "stopping" if node.draining else "running",
        summary=summary(node, queues.held_up),
        broker="" if node.plan is None else node.plan.broker,
        embedded=node.plan is not None and node.plan.embedded,
        memory=None if own is None else own.memory,
        reload_error=agent.reload_error,
        enforcement=agent.enforcement,
        queues=(),
        app="" if node.plan is None else app_of(node.plan),
        schedule=_schedule(node, pulses),
        watcher=seen.watcher,
        certificates=_certificates(node),
        brokers=tuple(BrokerStatus(each.broker, each.reason, each.text) for each in seen.reaches),
        state_folder=agent.keeping.folder,
        unkept=agent.keeping.fault,
    )
    return text_with(status, queues.texts)


def summary(node: Node, held_up: int = 0) -> str:
    """Return one line on all queues, for systemd's STATUS= and the head of `agent status`.

    held_up: how many of those that are consumed from run nothing.
    """
    if node.plan is None:
        return "reading the configuration"
    if node.draining:
        return f"stopping, {_count(len(node.queues))} left"
    wanted = [queue.current for queue in node.queues.values() if queue.current.wanted]
    states = [worker.state for worker in wanted if worker.spec.schedule is None]
    parts = []
    consuming = states.count(State.CONSUMING)
    some = f"{consuming} of " if consuming < len(states) else ""
    but = f", of which {held_up} run nothing" if held_up else ""
    parts.append(f"consuming from {some}{_count(len(states))}{but}")
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


def _count(queues: int) -> str:
    return "1 queue" if queues == 1 else f"{queues} queues"


_TROUBLES = {
    State.STARTING: "starting",
    State.CONNECTING: WAITING,
    State.BACKOFF: "failing",
}


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
