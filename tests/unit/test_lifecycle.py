"""The life of an instance: each row of the table in agent.decide.lifecycle is a row here."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.decide.events import ImpossibleEvent, Shutdown
from agent.decide.lifecycle import (
    STOPPING,
    Action,
    AskedToReload,
    AskedToStop,
    Begin,
    Emptied,
    End,
    Event,
    Host,
    KeepPlan,
    Life,
    Phase,
    Planned,
    ReadConfiguration,
    Ready,
    Refused,
    RefuseReload,
    Reloaded,
    Reloading,
    Settled,
    Stopping,
    StopQueues,
    step,
)
from agent.decide.plan import difference
from agent.errors import AgentError
from tests.unit.specs import plan

PLAN = plan(a=1)
CHANGE = difference(None, PLAN)
PLANNED = Planned(PLAN, CHANGE)
REASON = AgentError("wrong")
REFUSED = Refused(REASON)

STARTING = Life()
RUNNING = Life(Phase.RUNNING)
READY = replace(RUNNING, ready=True)
RELOADING = replace(READY, phase=Phase.RELOADING)
WARM = replace(READY, phase=Phase.STOPPING, stopping=Shutdown.WARM)


def asked_again(life: Life) -> Life:
    return replace(life, again=True)


@pytest.mark.parametrize(
    ("life", "event", "after", "actions"),
    [
        (STARTING, Begin(), STARTING, (ReadConfiguration(),)),
        (STARTING, AskedToReload(), asked_again(STARTING), ()),
        (
            asked_again(STARTING),
            PLANNED,
            Life(Phase.RELOADING),
            (Host(PLAN, CHANGE), Reloaded(CHANGE), ReadConfiguration()),
        ),
        (asked_again(STARTING), REFUSED, STARTING, (ReadConfiguration(),)),
        (STARTING, PLANNED, RUNNING, (Host(PLAN, CHANGE), Reloaded(CHANGE))),
        (STARTING, REFUSED, Life(Phase.ENDED), (End(REASON),)),
        (STARTING, Settled(), STARTING, ()),
        (RUNNING, Settled(), READY, (Ready(),)),
        (READY, Settled(), READY, ()),
        (READY, AskedToReload(), RELOADING, (Reloading(), ReadConfiguration())),
        (RELOADING, AskedToReload(), asked_again(RELOADING), ()),
        (
            asked_again(RELOADING),
            PLANNED,
            RELOADING,
            (Host(PLAN, CHANGE), Reloaded(CHANGE), ReadConfiguration()),
        ),
        (
            asked_again(RELOADING),
            REFUSED,
            RELOADING,
            (KeepPlan(REASON), RefuseReload(REASON), ReadConfiguration()),
        ),
        (RELOADING, PLANNED, READY, (Host(PLAN, CHANGE), Reloaded(CHANGE))),
        (RELOADING, REFUSED, READY, (KeepPlan(REASON), RefuseReload(REASON))),
        (replace(RELOADING, ready=False), Settled(), RELOADING, (Ready(),)),
        (READY, AskedToStop(cold=False), WARM, (Stopping(), StopQueues(Shutdown.WARM))),
        (
            STARTING,
            AskedToStop(cold=True),
            Life(Phase.STOPPING, stopping=Shutdown.COLD),
            (Stopping(), StopQueues(Shutdown.COLD)),
        ),
        (WARM, AskedToStop(cold=False), replace(WARM, stopping=Shutdown.COLD), (StopQueues(Shutdown.COLD),)),
        (WARM, AskedToStop(cold=True), replace(WARM, stopping=Shutdown.COLD), (StopQueues(Shutdown.COLD),)),
        (WARM, Emptied(), replace(WARM, phase=Phase.ENDED), (End(),)),
        (READY, Emptied(), READY, ()),
    ],
)
def test_transition(life: Life, event: Event, after: Life, actions: tuple[Action, ...]) -> None:
    assert step(life, event) == (after, actions)


@pytest.mark.parametrize("event", [AskedToReload(), PLANNED, REFUSED])
def test_an_instance_that_stops_takes_no_plan_and_says_so(event: Event) -> None:
    after, (action,) = step(WARM, event)
    assert after == WARM
    assert isinstance(action, RefuseReload)
    assert str(action.reason) == STOPPING


@pytest.mark.parametrize(
    ("life", "event"),
    [(RUNNING, Begin()), (RUNNING, PLANNED), (READY, REFUSED), (Life(Phase.ENDED), AskedToStop(cold=False))],
)
def test_what_can_not_be_is_an_error(life: Life, event: Event) -> None:
    with pytest.raises(ImpossibleEvent, match="in phase"):
        step(life, event)


def test_each_order_to_stop_is_harder_than_the_last() -> None:
    life, hows = READY, []
    for _ in range(4):
        life, _ = step(life, AskedToStop(cold=False))
        hows.append(life.stopping)
    assert hows == [Shutdown.WARM, Shutdown.COLD, Shutdown.KILL, Shutdown.KILL]


@given(st.lists(st.sampled_from(["reload", "stop", "planned", "refused", "settled"]), max_size=40))
def test_whatever_the_order_one_planner_runs_at_a_time_and_systemd_is_told_once(chances: list[str]) -> None:
    life, actions = step(STARTING, Begin())
    planners = actions.count(ReadConfiguration())
    told: list[Action] = []
    for chance in chances:
        if life.phase is Phase.ENDED:
            break
        event: Event
        match chance:
            case "planned" | "refused":
                if not planners:
                    continue
                planners -= 1
                event = PLANNED if chance == "planned" else REFUSED
            case "reload":
                event = AskedToReload()
            case "stop":
                event = AskedToStop(cold=False)
            case _:
                event = Settled()
        life, actions = step(life, event)
        planners += actions.count(ReadConfiguration())
        assert planners <= 1
        told += actions
    assert told.count(Ready()) <= 1
    assert told.count(Stopping()) <= 1
