"""The life of an instance: (life, event) -> (life, actions). What its queues do meanwhile is `agent.decide.supervisor`'s.

    phase      event                     next       actions
    ---------  ------------------------  ---------  -----------------------------------------------------
    STARTING   Begin                     STARTING   ReadConfiguration
    STARTING   Planned                   RUNNING    Host, Reloaded
    STARTING   Refused                   ENDED      End with the reason
    RUNNING    AskedToReload             RELOADING  Reloading, ReadConfiguration
    RUNNING    Settled, the first time   RUNNING    Ready
    RELOADING  Planned                   RUNNING    Host, Reloaded
    RELOADING  Refused                   RUNNING    KeepPlan, RefuseReload
    RELOADING  Settled, the first time   RELOADING  Ready
    where a reload was asked for while the configuration was being read, which may have changed since:
    STARTING   Planned                   RELOADING  Host, Reloaded, ReadConfiguration
    STARTING   Refused                   STARTING   ReadConfiguration
    RELOADING  Planned                   RELOADING  Host, Reloaded, ReadConfiguration
    RELOADING  Refused                   RELOADING  KeepPlan, RefuseReload, ReadConfiguration
    STARTING or RELOADING:
               AskedToReload             the same   - (it is for the next reading)
    any of these three:
               AskedToStop               STOPPING   Stopping, StopQueues
    STOPPING   AskedToStop               STOPPING   StopQueues, harder each time
    STOPPING   AskedToReload, Planned, Refused
                                         STOPPING   RefuseReload
    STOPPING   Emptied                   ENDED      End

An event that a phase does not name is impossible there and raises ImpossibleEvent; Settled and Emptied may always come.
"""

from __future__ import annotations

from dataclasses import replace
from enum import Enum

from agent.decide.events import ImpossibleEvent, Shutdown
from agent.decide.plan import Difference, Plan
from agent.errors import AgentError
from agent.guest.values import dataclass


class Phase(Enum):
    """Where an instance is in its life."""

    STARTING = "starting"
    RUNNING = "running"
    RELOADING = "reloading"
    STOPPING = "stopping"
    ENDED = "ended"


STOPPING = "the agent is stopping"
READING = frozenset({Phase.STARTING, Phase.RELOADING})


@dataclass(frozen=True, slots=True)
class Life:
    """One instance's life.

    again: whether a reload was asked for while the configuration was being read.
    ready: whether the start is over: every queue was consumed once, or has had its time for it.
    stopping: how the instance was last told to stop; None while it was not.
    """

    phase: Phase = Phase.STARTING
    again: bool = False
    ready: bool = False
    stopping: Shutdown | None = None


# What happens.


@dataclass(frozen=True, slots=True)
class Begin:
    """The agent has been started."""


@dataclass(frozen=True, slots=True)
class AskedToReload:
    """By a signal, or over the control socket."""


@dataclass(frozen=True, slots=True)
class AskedToStop:
    """By a signal: with a warm shutdown first, or a cold one at once."""

    cold: bool


@dataclass(frozen=True, slots=True)
class Planned:
    """The configuration has been read; `change` is what the plan changes."""

    plan: Plan
    change: Difference


@dataclass(frozen=True, slots=True)
class Refused:
    """The configuration can't be run."""

    reason: AgentError


@dataclass(frozen=True, slots=True)
class Settled:
    """Every queue is consumed, or the time for it is over: a broker that is away must not fail a start."""


@dataclass(frozen=True, slots=True)
class Emptied:
    """Nothing of the queues is left."""


Event = Begin | AskedToReload | AskedToStop | Planned | Refused | Settled | Emptied


# What is to be done.


@dataclass(frozen=True, slots=True)
class ReadConfiguration:
    """Start the planner."""


@dataclass(frozen=True, slots=True)
class Host:
    """Run a plan."""

    plan: Plan
    change: Difference


@dataclass(frozen=True, slots=True)
class KeepPlan:
    """Go on with the plan that runs, and say why the new one was refused."""

    reason: AgentError


@dataclass(frozen=True, slots=True)
class Reloading:
    """Tell systemd that a reload begins."""


@dataclass(frozen=True, slots=True)
class Reloaded:
    """Tell systemd, and whoever asked, that a reload is over."""

    change: Difference


@dataclass(frozen=True, slots=True)
class RefuseReload:
    """Tell systemd that a reload is over, and whoever asked why nothing came of it."""

    reason: AgentError


@dataclass(frozen=True, slots=True)
class Ready:
    """Tell systemd that the start is over."""


@dataclass(frozen=True, slots=True)
class Stopping:
    """Tell systemd that the stop begins."""


@dataclass(frozen=True, slots=True)
class StopQueues:
    """Have all queues go."""

    how: Shutdown


@dataclass(frozen=True, slots=True)
class End:
    """End the agent: well, or with the reason why it could not be started."""

    reason: AgentError | None = None


Action = ReadConfiguration | Host | KeepPlan | Reloading | Reloaded | RefuseReload | Ready | Stopping | StopQueues | End
Step = tuple[Life, tuple[Action, ...]]


def step(life: Life, event: Event) -> Step:
    """Return the life after the event and what is to be done; raises ImpossibleEvent."""
    match event:
        case Begin() if life == Life():
            return life, (ReadConfiguration(),)
        case AskedToReload():
            return _asked_to_reload(life)
        case AskedToStop(cold) if life.phase is not Phase.ENDED:
            return _asked_to_stop(life, cold)
        case Planned() | Refused() if life.phase is Phase.STOPPING:
            return life, (RefuseReload(AgentError(STOPPING)),)
        case Planned(plan, change) if life.phase in READING and life.again:
            # It is adopted all the same: somebody who asks again and again must not keep everybody else waiting.
            again = replace(life, phase=Phase.RELOADING, again=False)
            return again, (Host(plan, change), Reloaded(change), ReadConfiguration())
        case Refused(reason) if life.phase is Phase.RELOADING and life.again:
            return replace(life, again=False), (KeepPlan(reason), RefuseReload(reason), ReadConfiguration())
        case Refused() if life.phase is Phase.STARTING and life.again:
            return replace(life, again=False), (ReadConfiguration(),)
        case Planned(plan, change) if life.phase in READING:
            return replace(life, phase=Phase.RUNNING), (Host(plan, change), Reloaded(change))
        case Refused(reason) if life.phase is Phase.STARTING:
            return replace(life, phase=Phase.ENDED), (End(reason),)
        case Refused(reason) if life.phase is Phase.RELOADING:
            return replace(life, phase=Phase.RUNNING), (KeepPlan(reason), RefuseReload(reason))
        case Settled():
            starts = not life.ready and life.phase in (Phase.RUNNING, Phase.RELOADING)
            return (replace(life, ready=True), (Ready(),)) if starts else (life, ())
        case Emptied():
            return (replace(life, phase=Phase.ENDED), (End(),)) if life.phase is Phase.STOPPING else (life, ())
    raise ImpossibleEvent(f"{event} in phase {life.phase.value}")


def _asked_to_reload(life: Life) -> Step:
    match life.phase:
        case Phase.RUNNING:
            return replace(life, phase=Phase.RELOADING), (Reloading(), ReadConfiguration())
        case Phase.STARTING | Phase.RELOADING:
            return replace(life, again=True), ()
        case _:
            return life, (RefuseReload(AgentError(STOPPING)),)


def _asked_to_stop(life: Life, cold: bool) -> Step:
    if life.stopping is None:
        how = Shutdown.COLD if cold else Shutdown.WARM
        return replace(life, phase=Phase.STOPPING, stopping=how), (Stopping(), StopQueues(how))
    how = Shutdown(min(life.stopping + 1, Shutdown.KILL))
    return replace(life, stopping=how), (StopQueues(how),)
