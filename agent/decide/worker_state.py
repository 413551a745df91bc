"""The life of one worker: (worker, event, now) -> (worker, actions).

Nothing here forks, kills, sleeps or reads a clock.

    state       event                        next        action
    ----------  ---------------------------  ----------  -----------------------------------
    STOPPED     Up                           STARTING    Fork
    STARTING    Forked                       STARTING    -
    STARTING    Connecting                   CONNECTING  -
    STARTING    Consuming                    CONSUMING   -
    STARTING    Tick past start_timeout      STOPPING    Stop KILL (without a process: BACKOFF)
    CONNECTING  Consuming                    CONSUMING   -
    CONSUMING   Connecting                   CONNECTING  -
    CONNECTING, CONSUMING:
                Unheard                      STOPPING    Stop WARM; it is started anew when it has gone
                Replace                      STOPPING    ShowStacks, and Stop WARM, or Stop KILL when it has had LAST_WORDS
    any of the three, with a process:
                Down                         STOPPING    Stop WARM, or harder where told so
                Exited, ForkFailed           BACKOFF     - (the first time: STARTING, Fork)
    STARTING    Down, before Forked          STOPPING    -
    STOPPING    Forked                       STOPPING    Stop as it was told meanwhile
    STOPPING    Down, harder than before     STOPPING    Stop as told
    STOPPING    Tick past the deadline       STOPPING    Stop COLD, then Stop KILL, then nothing
    STOPPING    Exited, ForkFailed           STOPPED     - (Fork, where Up came meanwhile)
    BACKOFF     Tick past the delay          STARTING    Fork
    BACKOFF     Down                         STOPPED     -
    any         Stalled                      the same, its deadline later by as much

What comes late changes nothing: a report in STOPPING, BACKOFF or STOPPED, anything of a process that was given up. What can't
be raises ImpossibleEvent: a process that is forked twice, or that reports or ends without having been forked.

CONNECTING has no deadline: a broker that is away is never a reason to kill a worker. BACKOFF never gives up: what made
the worker die may be mended without the agent being told.
"""

from __future__ import annotations

from dataclasses import replace

from agent.decide import backoff
from agent.decide.events import (
    Action,
    Connecting,
    Consuming,
    Down,
    Exited,
    Fork,
    Forked,
    ForkFailed,
    ImpossibleEvent,
    Replace,
    ShowStacks,
    Shutdown,
    Stalled,
    Stop,
    Tick,
    Unheard,
    Up,
    WorkerEvent,
)
from agent.decide.words import State
from agent.guest.spec import WorkerSpec
from agent.guest.values import dataclass

SERVING = frozenset({State.CONNECTING, State.CONSUMING})
UP = SERVING | {State.STARTING}
SHORTEST_PAUSE = 1.0  # seconds after a fault of the agent's own, which would only come again at once
LAST_WORDS = 1.0  # seconds in which a worker that is to be killed writes down what its threads do
EXPECTED = UP | {State.STOPPING}  # the states in which there is a process, or one is being forked


@dataclass(frozen=True, slots=True)
class Worker:
    """One worker, through all of its processes.

    wanted: whether it is to run again when its process ends.
    generation: number of its newest process, counted per queue; part of the process's node name.
    pid: of its process, from Forked to Exited.
    since: when it came into its present state.
    up_since: when its present process first reported.
    deadline: when the present state has lasted too long; for BACKOFF, when the delay is over.
    failures: deaths in a row, see `agent.decide.backoff`.
    unheard: whether its present process can report no more, and is stopped for that.
    not_started: why the newest attempt to start it came to nothing; None once a process has reported, or has ended by itself.
    replaced: why its present process is being replaced; None where nobody does.
    """

    spec: WorkerSpec
    state: State = State.STOPPED
    wanted: bool = False
    generation: int = 0
    pid: int | None = None
    since: float = 0.0
    up_since: float | None = None
    deadline: float | None = None
    stopping_with: Shutdown = Shutdown.WARM
    failures: int = 0
    unheard: bool = False
    not_started: str | None = None
    replaced: Replace | None = None


Step = tuple[Worker, tuple[Action, ...]]


def step(worker: Worker, event: WorkerEvent, now: float) -> Step:
    """Return the worker after the event and what is to be done; an event that does not matter changes nothing."""
    match event:
        case Up():
            return _up(worker, now)
        case Down(how):
            return _down(replace(worker, wanted=False), how, now)
        case Forked() | ForkFailed() if worker.pid is not None:
            raise ImpossibleEvent(f"{event} of {worker.spec.queue} in state {worker.state.value} with pid {worker.pid}")
        case Connecting() | Consuming() | Exited() if worker.pid is None and worker.state in EXPECTED:
            raise ImpossibleEvent(f"{event} of {worker.spec.queue} in state {worker.state.value} without a process")
        case Forked(pid) if worker.state in EXPECTED:
            return _forked(replace(worker, pid=pid), now)
        case Connecting() | Consuming() if worker.state in UP:
            return _reported(worker, event, now), ()
        case Unheard() | Replace() if worker.state in SERVING:
            return _to_be_replaced(worker, event, now)
        case ForkFailed(reason) if worker.state in EXPECTED:
            return _gone(replace(worker, not_started=reason), now)
        case Exited(running=running) if worker.state in EXPECTED:
            known = worker.not_started if worker.state is State.STOPPING else None
            longest = backoff.LONGEST_BESIDE_TASKS if running else backoff.LONGEST
            return _gone(replace(worker, not_started=known), now, longest)
        case Tick() if worker.deadline is not None and now >= worker.deadline:
            return _deadline_passed(worker, now)
        case Stalled(seconds) if worker.deadline is not None:
            return replace(worker, deadline=worker.deadline + seconds), ()
        case _:
            return worker, ()


def given_up(worker: Worker, now: float) -> Step:
    """Return a worker of which nothing is known any more: what there is of it is killed, and it begins anew after a pause."""
    kill = () if worker.pid is None else (Stop(worker.spec.queue, worker.pid, Shutdown.KILL),)
    failures = worker.failures + 1
    waits = replace(worker, state=State.BACKOFF, pid=None, since=now, up_since=None, failures=failures)
    return replace(waits, deadline=now + max(backoff.delay(failures), SHORTEST_PAUSE)), kill


def _up(worker: Worker, now: float) -> Step:
    wanted = replace(worker, wanted=True)
    return _start(wanted, now) if worker.state is State.STOPPED else (wanted, ())


def _down(worker: Worker, how: Shutdown, now: float) -> Step:
    match worker.state:
        case State.STARTING if worker.pid is None:  # the answer to the fork request is still to come
            return replace(worker, state=State.STOPPING, since=now, stopping_with=how), ()
        case State.STARTING | State.CONNECTING | State.CONSUMING:
            return _stop(worker, how, now)
        case State.STOPPING if how > worker.stopping_with:
            return _stop(worker, how, now) if worker.pid is not None else (replace(worker, stopping_with=how), ())
        case State.BACKOFF:
            return replace(worker, state=State.STOPPED, since=now, deadline=None, failures=0), ()
        case _:
            return worker, ()


def _forked(worker: Worker, now: float) -> Step:
    if worker.state is State.STOPPING:
        return _stop(worker, worker.stopping_with, now)
    return worker, ()


def _reported(worker: Worker, report: Connecting | Consuming, now: float) -> Worker:
    state = State.CONSUMING if isinstance(report, Consuming) else State.CONNECTING
    if worker.state is state:
        return worker
    up_since = now if worker.up_since is None else worker.up_since
    return replace(worker, state=state, since=now, up_since=up_since, deadline=None, not_started=None)


def _gone(worker: Worker, now: float, longest: float = backoff.LONGEST) -> Step:
    lived = 0.0 if worker.up_since is None else now - worker.up_since
    gone = replace(worker, pid=None, up_since=None, deadline=None)
    if not worker.wanted:
        return replace(gone, state=State.STOPPED, since=now, failures=0), ()
    if worker.state is State.STOPPING and worker.stopping_with is not Shutdown.KILL:
        return _start(gone, now)  # it went when told to, and has been asked for again
    failures = backoff.failures_after(worker.failures, lived)
    wait = backoff.jittered(backoff.delay(failures, longest), worker.spec.queue, failures)
    waiting = replace(gone, failures=failures)
    if wait == 0:
        return _start(waiting, now)
    return replace(waiting, state=State.BACKOFF, since=now, deadline=now + wait), ()


def _deadline_passed(worker: Worker, now: float) -> Step:
    match worker.state:
        case State.BACKOFF:
            return _start(worker, now)
        case State.STARTING:
            return _not_started_in_time(worker, now)
        case State.STOPPING if worker.pid is None:  # the fork was never answered
            return _gone(worker, now)
        case State.STOPPING if worker.stopping_with is Shutdown.WARM:
            return _stop(worker, Shutdown.COLD, now)
        case _:
            return _stop(worker, Shutdown.KILL, now)


def _not_started_in_time(worker: Worker, now: float) -> Step:
    missed = "there was no process" if worker.pid is None else "its tasks were not loaded"
    late = replace(worker, not_started=f"{missed} within {worker.spec.start_timeout:g} s")
    return _gone(late, now) if worker.pid is None else _stop(late, Shutdown.KILL, now)


def _start(worker: Worker, now: float) -> Step:
    generation = worker.generation + 1
    starting = replace(
        worker,
        state=State.STARTING,
        generation=generation,
        since=now,
        deadline=now + worker.spec.start_timeout,
        stopping_with=Shutdown.WARM,
        unheard=False,
        replaced=None,
    )
    return starting, (Fork(worker.spec, generation),)


def _to_be_replaced(worker: Worker, why: Unheard | Replace, now: float) -> Step:
    if isinstance(why, Unheard):
        return _stop(replace(worker, unheard=True), Shutdown.WARM, now)
    if worker.pid is None:
        raise ValueError(f"a worker without a process can't be replaced: {worker}")
    show = ShowStacks(worker.spec.queue, worker.pid, why.reason)
    if why.how is Shutdown.WARM:
        stopping, actions = _stop(replace(worker, replaced=why), Shutdown.WARM, now)
        return stopping, (show, *actions)
    cold = replace(worker, replaced=why, state=State.STOPPING, since=now, stopping_with=Shutdown.COLD)
    return replace(cold, deadline=now + LAST_WORDS), (show,)


def _stop(worker: Worker, how: Shutdown, now: float) -> Step:
    if worker.pid is None:
        raise ValueError(f"a worker without a process can't be stopped: {worker}")
    deadline: float | None
    match how:
        case Shutdown.WARM:
            deadline = now + worker.spec.warm_timeout
        case Shutdown.COLD:
            deadline = now + worker.spec.cold_timeout
        case Shutdown.KILL:
            deadline = (
                None  # there is no further step: a process that is still there is reported, not signalled for ever
            )
    since = worker.since if worker.state is State.STOPPING else now
    stopping = replace(worker, state=State.STOPPING, since=since, stopping_with=how, deadline=deadline)
    return stopping, (Stop(worker.spec.queue, worker.pid, how),)
