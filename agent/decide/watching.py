"""What a node does about its watcher: (node, event, now) -> (node, actions).

It lives as a worker does, see `agent.decide.worker_state`, with another start and one more way to its end:

    event      watcher                             done
    ---------  ----------------------------------  -----------------------------------------------------------
    Adopt      there is none, before Settled       nothing yet: the workers are started before it
    Settled    any                                 it goes Up
    Adopt      there is none, after Settled        it goes Up
    Adopt      what it watches or sees changed     it goes Down, and Up with the new spec
    Adopt      nothing is left to watch            it goes Down
    Adopt      the same                            -
    Watched    any                                 what it says is kept, with what the workers had ended by then
    Inquired   it works                            it is told to look soon
    Looked     heard of in the last SILENT seconds what the workers have ended is kept
    Looked     silent for longer                   it shows its stacks, is killed, and started again after a back-off
    Drain      any                                 it goes Down
    Happened, Due, Confused, Stalled               as with a worker

Nothing about a worker is started or stopped by whether it is there.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from agent.decide.endings import exit_text
from agent.decide.events import (
    ABSENT,
    Account,
    Action,
    Adopt,
    Ask,
    Confused,
    Died,
    Down,
    Drain,
    Due,
    Exited,
    Forked,
    Grown,
    Happened,
    Inquired,
    Looked,
    NodeEvent,
    OutOfMemory,
    Settled,
    ShowStacks,
    Shutdown,
    Stalled,
    Stop,
    Tick,
    Up,
    Watched,
    WorkerEvent,
)
from agent.decide.looks import SHORTEST, Look, added
from agent.decide.node import Node
from agent.decide.plan import Plan, sees_alike
from agent.decide.watch import Watch
from agent.decide.words import State
from agent.decide.worker_state import EXPECTED, SERVING, UP, Worker, given_up, step
from agent.guest.messages import Consuming
from agent.guest.sight import Asked, Reach, Sight
from agent.guest.spec import AND, WatchedApp, WatchSpec, WorkerSpec, watcher_of

SILENT = 20.0  # seconds without a sign of life; it looks every 10 s, and no step of a look takes more than 3 s
START_TIMEOUT = 60.0  # seconds; a project's app may import much
WARM_TIMEOUT, COLD_TIMEOUT = 2.0, 1.0  # seconds; it has a connection to close, and nothing else to lose

Step = tuple[Watch, tuple[Action, ...]]


def is_of_watcher(node: Node, event: NodeEvent) -> bool:
    """Say whether something happened to the watcher, and to no queue."""
    if node.watch is None or not isinstance(event, (Happened, Due, Confused)):
        return False
    return event.queue == node.watch.name


def handle(node: Node, event: NodeEvent, now: float) -> tuple[Node, tuple[Action, ...]]:
    """Return the node after an event, as far as its watcher is concerned, and what is to be done."""
    if isinstance(event, Settled):
        node = replace(node, settled=True)
    if isinstance(event, Adopt) and not node.draining:
        watch, actions = _adopted(node.watch, event.plan, now, settled=node.settled)
        return replace(node, watch=watch), actions
    if node.watch is None or (isinstance(event, (Happened, Due, Confused)) and not is_of_watcher(node, event)):
        return node, ()
    watch, actions = _decide(node.watch, event, now)
    return replace(node, watch=watch), actions


def spec_of(plan: Plan) -> WorkerSpec | None:
    """Return the spec of the process that watches a plan's queues; None where there is none to watch."""
    apps: dict[str, list[str]] = {}
    letters = {way.queue: way.dead_letters for way in plan.ways}
    for worker in plan.workers:
        if worker.schedule is None:
            # Of several that are named the last one is the app that runs: see `agent.guest.projects.serving`.
            apps.setdefault(worker.app.rpartition(AND)[2], []).append(worker.queue)
    if not apps:
        return None
    return WorkerSpec(
        queue=watcher_of(plan.instance),
        tasks=(),
        pool="solo",
        concurrency=1,
        prefetch=None,
        time_limit=None,
        soft_time_limit=None,
        max_tasks_per_child=None,
        max_memory_per_child=None,
        max_deaths=1,
        log_level="WARNING",
        start_timeout=START_TIMEOUT,
        warm_timeout=WARM_TIMEOUT,
        cold_timeout=COLD_TIMEOUT,
        watch=WatchSpec(tuple(_watched(app, queues, letters) for app, queues in apps.items())),
    )


def _watched(app: str, queues: list[str], letters: Mapping[str, str]) -> WatchedApp:
    return WatchedApp(app, tuple(queues), tuple(letters.get(queue, "") for queue in queues))


def _adopted(watch: Watch | None, plan: Plan, now: float, *, settled: bool) -> tuple[Watch | None, tuple[Action, ...]]:
    """Return the watcher of a plan; settled: whether the start is over, so that it may be started too."""
    spec = spec_of(plan)
    if spec is None:
        return (None, ()) if watch is None else _step(watch, Down(), now)
    if watch is None:
        watch = Watch(Worker(spec), plan)
    elif watch.worker.wanted and spec == watch.worker.spec and sees_alike(watch.plan, plan):
        return replace(watch, plan=plan), ()
    looks = {queue: looks for queue, looks in watch.looks.items() if queue in _queues(spec)}
    changed = replace(watch, worker=replace(watch.worker, spec=spec), plan=plan, looks=looks)
    going, stop = _step(changed, Down(), now)
    coming, fork = _step(going, Up(), now) if settled else (going, ())
    return coming, (*stop, *fork)


def _decide(watch: Watch, event: NodeEvent, now: float) -> Step:
    match event:
        case Settled():
            return _step(watch, Up(), now)
        case Drain(how):
            return _step(watch, Down(how), now)
        case Stalled():
            return _step(watch, event, now)
        case Due():
            return _step(watch, Tick(), now)
        case Happened():
            return _happened(watch, event, now)
        case Confused():
            return _begun_anew(watch, now)
        case Inquired():
            works = watch.worker.state is State.CONSUMING
            return watch, (Ask(watch.name, watch.worker.generation),) if works else ()
        case Looked(_, account, heard):
            return _looked(watch, account, heard, now)
        case _:
            return watch, ()


def _happened(watch: Watch, event: Happened, now: float) -> Step:
    late = event.generation != watch.worker.generation
    match event.event:
        case OutOfMemory() | Grown() | Died():
            pass
        case Forked(pid) if late or watch.worker.state not in EXPECTED:  # its request had been given up
            return watch, (Stop(watch.name, pid, Shutdown.KILL),)
        case Watched(sights, account) if not late and watch.worker.state in UP:
            heard, actions = _step(watch, Consuming(), now)
            turned = watch.turned if _reaches(sights) == _reaches(watch.sights) else now
            return _seen(replace(heard, sights=sights, seen=now, turned=turned), account, now), actions
        case Exited(status) if not late and watch.worker.state in UP:
            return _step(replace(watch, last_exit=exit_text(status)), event.event, now)
        case Watched():
            pass
        case other if not late:
            return _step(watch, other, now)
    return watch, ()


def _begun_anew(watch: Watch, now: float) -> Step:
    """Return a watcher of which nothing is known any more."""
    fresh, kill = given_up(watch.worker, now)
    if not watch.worker.wanted:
        fresh = replace(fresh, state=State.STOPPED, deadline=None)
    return replace(watch, worker=fresh), kill


def silence(watch: Watch, heard: float, now: float) -> float | None:
    """Return for how many seconds nothing was heard of it, where that is too long; heard: when it last gave a sign."""
    if watch.worker.state not in SERVING:
        return None
    silent = now - max(heard, watch.seen, watch.worker.since)
    return silent if silent > SILENT else None


def _looked(watch: Watch, account: Account, heard: float, now: float) -> Step:
    silent = silence(watch, heard, now)
    if silent is None or watch.worker.pid is None:
        return _seen(watch, account, now), ()
    reason = f"it said nothing for {silent:.0f} s"
    told = replace(watch, last_exit=f"{reason}, and was killed")
    going, kill = _step(told, Down(Shutdown.KILL), now)
    coming, _ = _step(going, Up(), now)
    return coming, (ShowStacks(watch.name, watch.worker.pid, reason), *kill)


def _seen(watch: Watch, account: Account, now: float) -> Watch:
    """Keep a look at each queue that could be asked about; of looks that follow one another closely only the first."""
    looks = {}
    for asked in watch.asked():
        if asked.waiting is None:
            continue  # what was seen before says nothing about what comes after
        looks[asked.queue] = known = watch.looks.get(asked.queue, ())
        if not known or now - known[-1].at >= SHORTEST:
            looks[asked.queue] = added(known, look(asked, account, now))
    return replace(watch, looks=looks)


def look(asked: Asked, account: Account, now: float) -> Look:
    """Return a queue as it is known now, by what the broker said last and what the workers say of themselves."""
    own = account.get(asked.queue, ABSENT)
    return Look(now, asked.waiting or 0, own.ended, asked.consumers is not None and asked.consumers <= own.consumers)


def _step(watch: Watch, event: WorkerEvent, now: float) -> Step:
    worker, actions = step(watch.worker, event, now)
    return replace(watch, worker=worker), actions


def _reaches(sights: tuple[Sight, ...]) -> tuple[tuple[Reach, ...], ...]:
    return tuple(sight.reaches for sight in sights)


def _queues(spec: WorkerSpec) -> frozenset[str]:
    return frozenset(queue for app in (spec.watch.apps if spec.watch else ()) for queue in app.queues)
