"""The watcher's life: each row of the table in `agent.decide.watching`, and what can be said by what it says."""

from dataclasses import replace

import pytest

from agent.decide.events import (
    Ask,
    Confused,
    Connecting,
    Consuming,
    Drain,
    Due,
    Exited,
    Fork,
    Forked,
    Happened,
    Inquired,
    Looked,
    Own,
    Settled,
    ShowStacks,
    Shutdown,
    Stop,
    Watched,
)
from agent.decide.plan import Way
from agent.decide.view import account, view
from agent.decide.watch import Watch
from agent.decide.watching import SILENT, spec_of
from agent.decide.words import State
from agent.guest.scoreboard import Pulse
from agent.guest.sight import Asked, Reach, Sight
from agent.guest.spec import ScheduleSpec, WatchedApp, WatchSpec
from tests.unit.specs import SPEC, plan
from tests.unit.world import World, serving

NAME = "magic.watcher"
REACHED = Reach("amqp://one//")
EMAILS = Sight((REACHED,), (Asked("emails", 3, 1),))


def watch_of(world: World) -> Watch:
    assert world.node.watch is not None
    return world.node.watch


def looked(world: World, *sights: Sight) -> None:
    world.handle(Happened(NAME, watch_of(world).worker.generation, Watched(sights, account(world.node, {}))))


def watched() -> tuple[World, int]:
    """Return a node with one queue and a watcher that has looked, and the pid of that."""
    world, _ = serving(emails=1)
    world.handle(Settled())
    pid = world.fork()
    looked(world, EMAILS)
    return world, pid


def test_nothing_is_forked_before_the_workers_are_there_and_then_it_is() -> None:
    world, _ = serving(emails=1)
    assert world.pending == []
    (fork,) = world.handle(Settled())
    assert isinstance(fork, Fork)
    assert fork.spec.watch == WatchSpec((WatchedApp("", ("emails",), ("",)),))
    world.fork()
    looked(world, EMAILS)
    assert watch_of(world).worker.state is State.CONSUMING


def test_what_it_watches_is_the_queues_of_each_app_and_no_schedule() -> None:
    sends = ScheduleSpec("proj:E", "", "proj:app")
    workers = (
        replace(SPEC, queue="a"),
        replace(SPEC, queue="b", app="proj:app"),
        replace(SPEC, queue="c", app="proj.tasks:send,proj:app"),
        replace(SPEC, queue="magic.schedule", schedule=sends),
    )
    ways = (Way("b", "", "b.safe.dead"), Way("a", "a", "a.dead"))
    spec = spec_of(replace(plan(), workers=workers, ways=ways))
    assert spec is not None
    watched = (WatchedApp("", ("a",), ("a.dead",)), WatchedApp("proj:app", ("b", "c"), ("b.safe.dead", "")))
    assert spec.watch == WatchSpec(watched)
    assert spec_of(replace(plan(), workers=workers[3:])) is None


def test_a_reload_that_changes_nothing_for_it_leaves_it_and_another_replaces_it() -> None:
    world, pid = watched()
    assert world.adopt(plan(emails=1)) == ()
    world.adopt(plan(emails=1, reports=1))
    assert world.stopped == [(NAME, Shutdown.WARM)]
    world.exit(pid, 0)
    assert world.pending == [("reports", 1), (NAME, 2)]


def test_a_reload_that_changes_what_code_sees_replaces_it() -> None:
    world, pid = watched()
    template = replace(plan().template, environment=(("RABBITMQ_HOST", "other"),))
    world.adopt(replace(plan(emails=1), template=template))
    assert (NAME, Shutdown.WARM) in world.stopped
    world.exit(pid, 0)
    assert (NAME, 2) in world.pending


def test_queues_that_come_after_the_start_are_watched_at_once() -> None:
    world = World()
    world.adopt(plan())
    world.handle(Settled())
    assert world.node.watch is None
    world.adopt(plan(emails=1))
    assert world.pending == [("emails", 1), (NAME, 1)]


def test_one_that_dies_comes_back_and_pauses_where_it_does_so_again() -> None:
    world, pid = watched()
    world.exit(pid)
    assert watch_of(world).last_exit == "killed by SIGKILL"
    world.exit(world.fork())
    assert watch_of(world).worker.state is State.BACKOFF
    world.now = world.node.next_deadline() or 0.0
    assert world.node.due(world.now) == (NAME,)
    world.tick()
    assert world.pending == [(NAME, 3)]


def test_one_that_gives_signs_of_life_is_asked_to_look_and_one_that_gives_none_is_killed() -> None:
    world, pid = watched()
    world.now = SILENT + 10
    assert world.handle(Looked({}, heard=15.0)) == ()
    assert world.handle(Inquired()) == (Ask(NAME, 1),)
    show = ShowStacks(NAME, pid, f"it said nothing for {SILENT + 10 - 1:.0f} s")
    assert world.handle(Looked({}, heard=1.0)) == (show, Stop(NAME, pid, Shutdown.KILL))
    assert world.handle(Looked({}, heard=1.0)) == ()
    world.exit(pid)
    assert watch_of(world).worker.wanted


def test_it_goes_with_the_agent_which_waits_for_it() -> None:
    world, pid = watched()
    world.handle(Drain(Shutdown.WARM))
    assert (NAME, Shutdown.WARM) in world.stopped
    (worker,) = (each for each in world.alive if each != pid)
    world.exit(worker, 0)
    assert not world.node.is_finished()
    world.exit(pid, 0)
    assert world.node.is_finished()


def test_a_process_that_comes_too_late_is_killed() -> None:
    world, _ = watched()
    world.alive[77] = (NAME, 0)
    assert world.handle(Happened(NAME, 0, Forked(77))) == (Stop(NAME, 77, Shutdown.KILL),)


def test_what_comes_late_changes_nothing() -> None:
    world, _ = watched()
    before = world.node
    for event in (Watched((), {}), Connecting(), Exited(1)):
        assert world.handle(Happened(NAME, 0, event)) == ()
    assert world.node == before


def test_a_worker_that_gives_itself_out_as_the_watcher_is_not_heard() -> None:
    world, _ = watched()
    before = world.node
    assert world.handle(Happened("emails", 1, Watched((Sight((), (Asked("emails", 99),)),), {}))) == ()
    assert world.node == before


def test_one_that_the_agent_failed_at_begins_anew() -> None:
    world, pid = watched()
    assert world.handle(Confused(NAME)) == (Stop(NAME, pid, Shutdown.KILL),)
    world.now = world.node.next_deadline() or 0.0
    (fork,) = world.handle(Due(NAME))
    assert isinstance(fork, Fork)


def test_what_it_said_is_shown_for_so_long_and_no_longer() -> None:
    world, pid = watched()
    seen = view(world.node, {}, world.now)
    assert (seen.watcher, seen.backlog("emails").waiting, seen.backlog("emails").consumers) == ("", 3, 1)
    assert seen.broker("emails").reachable is True
    later = world.now + SILENT + 1
    stale = view(world.node, {}, later)
    assert stale.watcher == stale.backlog("emails").unseen == "the watcher has said nothing for 21 s"
    assert (stale.backlog("emails").waiting, stale.broker("emails").reachable) == (None, None)
    assert view(world.node, {pid: Pulse(later - 1)}, later).backlog("emails").waiting == 3


@pytest.mark.parametrize(
    ("reaches", "reachable", "reason"),
    [
        ((REACHED, Reach("amqp://two//", "away", "refused")), True, ""),
        ((Reach("amqp://one//", "away", "refused"),), False, "away"),
        ((Reach("amqp://one//", "away", "refused"), Reach("amqp://two//", "credentials", "403")), False, "credentials"),
    ],
)
def test_one_broker_is_enough_and_of_those_that_refuse_one_that_says_why_tells(
    reaches: tuple[Reach, ...], reachable: bool, reason: str
) -> None:
    world, _ = watched()
    looked(world, Sight(reaches, (Asked("emails", unseen="the broker can't be reached"),)))
    seen = view(world.node, {}, world.now)
    assert (seen.broker("emails").reachable, seen.broker("emails").reason) == (reachable, reason)
    assert seen.backlog("emails").unseen == "the broker can't be reached"


def test_each_state_has_words_for_what_is_wrong() -> None:
    world, _ = serving(emails=1)
    assert view(world.node, {}, 0.0).watcher == "the watcher is started once the workers are"
    world.handle(Settled())
    assert view(world.node, {}, 0.0).watcher == "the watcher is being started"
    world.exit(world.fork())
    assert view(world.node, {}, 0.0).watcher == "the watcher is being started (killed by SIGKILL)"
    world.exit(world.fork(), 1)
    assert view(world.node, {}, 0.0).watcher.startswith(
        "the watcher could not be kept running: exit status 1, next try in"
    )
    assert view(World().node, {}, 0.0).watcher == "there is no queue to watch"


def test_a_queue_s_own_consumers_and_what_its_workers_have_ended_are_counted() -> None:
    world, pids = serving(emails=1)
    pulses = {pids["emails"]: Pulse(1.0, succeeded=5, failed=2, retried=1)}
    assert account(world.node, pulses) == {"emails": Own({1: 8}, 1)}
    world.report(pids["emails"], Connecting())
    assert account(world.node, pulses)["emails"].consumers == 0
    world.report(pids["emails"], Consuming())


def test_since_when_a_broker_can_be_reached_is_known() -> None:
    world, _ = watched()
    away = Sight((replace(REACHED, reason="away", text="refused"),), (Asked("emails", unseen="away"),))
    world.now += 60
    looked(world, away)
    world.now += 60
    looked(world, EMAILS)
    back = world.now
    for _ in range(2):
        world.now += 5
        looked(world, EMAILS)
        known = view(world.node, {}, world.now).broker("emails")
        assert (known.reachable, known.since) == (True, back)
