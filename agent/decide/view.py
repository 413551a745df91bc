"""What can be said now of the brokers and of each queue there, from what the watcher said last."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from math import inf

from agent.decide.backlog import UNASKED, UNREACHED, Backlog, Broker
from agent.decide.events import Account, Own
from agent.decide.looks import added, oldest, rates
from agent.decide.node import Node, Queue
from agent.decide.watch import Watch
from agent.decide.watching import SILENT, look, silence
from agent.decide.words import State
from agent.guest.scoreboard import Pulse
from agent.guest.sight import Asked, Reach
from agent.guest.values import dataclass

NOTHING = "there is no queue to watch"


@dataclass(frozen=True, slots=True)
class View:
    """What is known now: nothing that is older than `agent.decide.watching.SILENT` seconds.

    watcher: what is wrong with the process that asks the brokers, for people; empty where it works.
    brokers, backlogs: by queue; of a queue that is not there nothing is known.
    reaches: each broker that was tried, and how that went.
    own: what the workers have to do with their queues, which the watcher can't see.
    until: when what the watcher said will be too old to be told, in seconds of the monotonic clock.
    """

    watcher: str = ""
    brokers: Mapping[str, Broker] = field(default_factory=dict)
    backlogs: Mapping[str, Backlog] = field(default_factory=dict)
    reaches: tuple[Reach, ...] = ()
    own: Account = field(default_factory=dict)
    until: float = inf

    def broker(self, queue: str) -> Broker:
        """Return what is known of the brokers that the worker of a queue may use."""
        found = self.brokers.get(queue)
        return Broker(text=self.watcher or UNREACHED.text) if found is None else found

    def backlog(self, queue: str) -> Backlog:
        """Return what is known of a queue."""
        found = self.backlogs.get(queue)
        return Backlog(unseen=self.watcher or UNASKED.unseen) if found is None else found


def account(node: Node, pulses: Mapping[int, Pulse]) -> Account:
    """Return what the workers of a node have to do with their queues; pulses by pid."""
    return {name: _own(queue, pulses) for name, queue in node.queues.items()}


def heard(watch: Watch | None, pulses: Mapping[int, Pulse]) -> float:
    """Return when the watcher last gave a sign of life, in seconds of the monotonic clock; 0.0 for never."""
    pulse = None if watch is None or watch.worker.pid is None else pulses.get(watch.worker.pid)
    return 0.0 if pulse is None else pulse.at


def view(node: Node, pulses: Mapping[int, Pulse], now: float) -> View:
    """Return what is known now; pulses by pid, that of the watcher too."""
    watch, own = node.watch, account(node, pulses)
    if watch is None:
        return View(NOTHING, backlogs=_of_schedules(node), own=own)
    watcher = _trouble(watch, heard(watch, pulses), now)
    at = max(watch.seen, heard(watch, pulses))
    if not watch.sights or now - at > SILENT:
        return View(watcher, backlogs=_of_schedules(node), own=own)
    brokers, backlogs = {}, _of_schedules(node)
    for sight in watch.sights:
        for asked in sight.queues:
            brokers[asked.queue] = _broker(sight.reaches, at, watch.turned)
            backlogs[asked.queue] = _backlog(watch, asked, own, now)
    reaches = dict.fromkeys(reach for sight in watch.sights for reach in sight.reaches)
    return View(watcher, brokers, backlogs, tuple(reaches), own, at + SILENT)


def _of_schedules(node: Node) -> dict[str, Backlog]:
    """Return what is said of the queues that are the right to send ticks: no task waits there, and nothing is asked."""
    return {name: Backlog() for name, queue in node.queues.items() if queue.current.spec.schedule is not None}


def _own(queue: Queue, pulses: Mapping[int, Pulse]) -> Own:
    told = [(each, pulses[each.pid]) for each in queue.workers() if each.pid is not None and each.pid in pulses]
    return Own(
        {worker.generation: pulse.succeeded + pulse.failed + pulse.retried + pulse.revoked for worker, pulse in told},
        sum(worker.state is State.CONSUMING for worker in queue.workers()),
    )


def _backlog(watch: Watch, asked: Asked, own: Account, now: float) -> Backlog:
    if asked.waiting is None:
        return Backlog(consumers=asked.consumers, unseen=asked.unseen, dead=asked.dead)
    looks = added(watch.looks.get(asked.queue, ()), look(asked, own, now))
    came, went = rates(looks)
    return Backlog(asked.waiting, asked.consumers, came, went, oldest(looks), asked.unseen, asked.dead)


def _broker(reaches: tuple[Reach, ...], at: float, since: float) -> Broker:
    """Return what is known of the brokers of an app: of those that refuse, one that says why tells most."""
    if not reaches:
        return UNREACHED
    if not all(each.reason for each in reaches):
        return Broker(reachable=True, at=at, since=since)
    telling = min(reaches, key=lambda each: each.reason == "away")
    return Broker(False, telling.reason, "; ".join(f"{each.broker}: {each.text}" for each in reaches), at, since)


def _trouble(watch: Watch, heard_at: float, now: float) -> str:
    worker, silent = watch.worker, silence(watch, heard_at, now)
    ended = f"{watch.last_exit}, " if watch.last_exit else ""
    match worker.state:
        case _ if silent is not None:
            return f"the watcher has said nothing for {silent:.0f} s"
        case State.CONSUMING:
            return ""
        case State.CONNECTING | State.STARTING:
            return f"the watcher is being started ({watch.last_exit})" if ended else "the watcher is being started"
        case State.BACKOFF:
            why = worker.not_started or watch.last_exit
            return f"the watcher could not be kept running: {why}, next try in {max(0.0, (worker.deadline or now) - now):.0f} s"
        case State.STOPPING if worker.wanted:
            return f"the watcher is being replaced: {ended}".removesuffix(", ").removesuffix(": ")
        case State.STOPPED if worker.generation == 0:
            return "the watcher is started once the workers are"
        case _:
            return "the watcher is stopped, as the agent stops or has nothing to watch"
