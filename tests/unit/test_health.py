"""How a queue fares: each row of the table in agent.decide.health is a row here."""

from dataclasses import replace
from math import inf

import pytest

from agent.decide.backlog import UNREACHED, Backlog, Broker
from agent.decide.events import Drain, Exited, Happened, Looked, ShowStacks, Shutdown, Stop, Tick
from agent.decide.health import OVERRUN, SILENCE, STILL, Health, Verdict, after, common, judge, leaving, next_look
from agent.decide.seen import Seen
from agent.decide.snapshot import summary
from agent.decide.words import State, Word
from agent.decide.worker_state import Worker, step
from agent.guest.scoreboard import IDLE_BEAT, NO_TLS, REFUSED, ActiveTask, Pulse
from agent.guest.spec import ScheduleSpec
from tests.unit.specs import SPEC, plan
from tests.unit.world import serving

NOW = 1_000.0
QUEUES = ("emails",)
TASK = ActiveTask("id", "send", NOW - 100)
OVER = TASK._replace(limit=60.0)
FRESH = Pulse(NOW - 1, queues=QUEUES)
BUSY = Pulse(NOW - 1, queues=QUEUES, active=(TASK,), active_count=1)
SILENT = Pulse(NOW - SILENCE - 1, queues=QUEUES)
AWAY = Broker(reachable=False, reason="away", text="timed out")
THERE = Broker(reachable=True)
NO_VHOST = "Connection.open: (530) NOT_ALLOWED - vhost shop not found"


def worker(state: State, pool: str = "prefork", since: float = NOW - 100, **spec: object) -> Worker:
    of = replace(SPEC, pool=pool, hung_timeout=60.0, **spec)  # type: ignore[arg-type]
    return Worker(of, state, wanted=True, generation=1, pid=7, since=since)


FIRST = replace(worker(State.CONNECTING, since=NOW - 1), up_since=NOW - 1)
CONSUMING = worker(State.CONSUMING)
CONNECTING = worker(State.CONNECTING)


@pytest.mark.parametrize(
    ("of", "seen", "broker", "word", "cause"),
    [
        (
            replace(worker(State.BACKOFF), failures=12),
            Seen(),
            THERE,
            "quarantined",
            "its worker keeps ending: status 1",
        ),
        (replace(worker(State.BACKOFF), failures=2), Seen(), AWAY, "backoff", "its worker keeps ending: status 1"),
        (worker(State.STARTING), Seen(), THERE, "starting", ""),
        (worker(State.STOPPING), Seen(), THERE, "draining", ""),
        (worker(State.STOPPED), Seen(), THERE, "draining", ""),
        (worker(State.CONNECTING, "solo"), Seen(BUSY), THERE, "busy", "it has lost its connection"),
        (
            CONNECTING,
            Seen(FRESH._replace(obstacle=f"{REFUSED}403 Login was refused")),
            THERE,
            "broker_down",
            "the broker refuses user or password: 403 Login was refused",
        ),
        (
            CONNECTING,
            Seen(FRESH._replace(obstacle=f"{REFUSED}ACCESS_REFUSED")),
            THERE,
            "broker_down",
            "refuses a right",
        ),
        (
            CONNECTING,
            Seen(FRESH._replace(obstacle=REFUSED + NO_VHOST)),
            THERE,
            "broker_down",
            "refuses the virtual host",
        ),
        (
            worker(State.CONNECTING, since=NOW - 1),
            Seen(FRESH._replace(obstacle=f"{NO_TLS}certificate has expired")),
            UNREACHED,
            "broker_down",
            "the TLS connection to the broker fails: certificate has expired",
        ),
        (CONNECTING, Seen(FRESH._replace(obstacle="no process gets ready")), THERE, "deaf", "does not come back"),
        (CONNECTING, Seen(), THERE, "deaf", "does not come back"),
        (CONNECTING, Seen(), replace(THERE, since=NOW - 1), "broker_down", "it seeks the broker"),
        (FIRST, Seen(), THERE, "starting", "it connects"),
        (FIRST, Seen(), AWAY, "broker_down", "can't be reached: timed out"),
        (worker(State.CONNECTING, since=NOW - 1), Seen(), UNREACHED, "broker_down", "can't be reached"),
        (worker(State.CONNECTING, since=NOW - 5), Seen(), THERE, "broker_down", "it seeks the broker"),
        (CONNECTING, Seen(), AWAY, "broker_down", "can't be reached: timed out"),
        (CONNECTING, Seen(), replace(AWAY, reason="credentials"), "broker_down", "refuses user or password"),
        (CONNECTING, Seen(), replace(AWAY, reason="frozen"), "broker_down", "does not answer"),
        (CONNECTING, Seen(SILENT), UNREACHED, "broker_down", "can't be reached"),
        (CONSUMING, Seen(SILENT, is_stopped=True), AWAY, "broker_down", "can't be reached"),
        (CONSUMING, Seen(FRESH, is_stopped=True), THERE, "hung", "stopped"),
        (worker(State.CONSUMING, "solo"), Seen(BUSY, is_stopped=True), UNREACHED, "hung", "stopped"),
        (CONSUMING, Seen(BUSY._replace(active=(OVER,))), THERE, "stuck", "beyond its limit: send[id] of 60 s"),
        (CONSUMING, Seen(SILENT), UNREACHED, "hung", "does not turn"),
        (worker(State.CONSUMING, "solo"), Seen(BUSY._replace(at=NOW - 90)), UNREACHED, "busy", ""),
        (CONSUMING, Seen(FRESH._replace(obstacle="nobody begins")), THERE, "stuck", "nobody begins"),
        (CONSUMING, Seen(FRESH._replace(queues=())), THERE, "deaf", "lost its consumer"),
        (CONSUMING, Seen(FRESH, Backlog(3, 0)), THERE, "deaf", "counts no consumer"),
        (worker(State.CONSUMING, since=NOW - 1), Seen(FRESH, Backlog(0, 0)), THERE, "idle", ""),
        (CONSUMING, Seen(BUSY, Backlog(3, 1, 2.0, 1.0)), THERE, "saturated", "more comes than it can do: 3 wait"),
        (CONSUMING, Seen(BUSY, Backlog(3, 1, 1.0, 2.0)), THERE, "busy", ""),
        (CONSUMING, Seen(BUSY), UNREACHED, "busy", ""),
        (CONSUMING, Seen(BUSY._replace(still=NOW - STILL + 1)), UNREACHED, "busy", ""),
        (
            CONSUMING,
            Seen(BUSY._replace(still=NOW - 660), Backlog(3, 1, 2.0, 0.0)),
            THERE,
            "busy",
            "its task uses no CPU: it has waited for 11 min",
        ),
        (CONSUMING, Seen(FRESH), UNREACHED, "idle", ""),
        (CONSUMING, Seen(FRESH, Backlog(3, 1)), THERE, "ok", ""),
        (worker(State.CONSUMING, concurrency=2), Seen(BUSY), THERE, "ok", ""),
        (worker(State.CONSUMING, schedule=ScheduleSpec("app", "", "")), Seen(FRESH, Backlog(0, 0)), THERE, "ok", ""),
    ],
)
def test_each_row_of_the_table(of: Worker, seen: Seen, broker: Broker, word: str, cause: str) -> None:
    verdict = judge(of, seen, broker, "status 1", NOW)
    assert verdict.word == word
    assert cause in verdict.cause if cause else not verdict.cause


@pytest.mark.parametrize(
    ("of", "seen", "broker", "grace", "suspects"),
    [
        (CONSUMING, Seen(SILENT), UNREACHED, 60.0, ()),
        (CONSUMING, Seen(BUSY._replace(at=NOW - 90)), UNREACHED, 60.0, ("id",)),
        (worker(State.CONSUMING), Seen(FRESH._replace(queues=())), THERE, 60.0, ()),
        (CONSUMING, Seen(BUSY._replace(at=NOW - 90)), AWAY, None, ()),
        (CONNECTING, Seen(SILENT), AWAY, None, ()),
        (CONNECTING, Seen(FRESH._replace(obstacle=f"{REFUSED}Login was refused")), THERE, None, ()),
        (replace(CONSUMING, spec=replace(CONSUMING.spec, hung_timeout=None)), Seen(SILENT), THERE, None, ()),
        (worker(State.CONSUMING, time_limit=60), Seen(BUSY._replace(active=(OVER,))), THERE, None, ("id",)),
        (worker(State.CONSUMING, "solo"), Seen(BUSY._replace(active=(OVER,))), THERE, None, ("id",)),
        (
            worker(State.CONSUMING, "threads", time_limit=60),
            Seen(BUSY._replace(active=(OVER,))),
            THERE,
            OVERRUN,
            ("id",),
        ),
    ],
)
def test_what_a_worker_is_replaced_for(
    of: Worker, seen: Seen, broker: Broker, grace: float | None, suspects: tuple[str, ...]
) -> None:
    verdict = judge(of, seen, broker, "", NOW)
    assert verdict.grace == grace
    assert grace is None or verdict.suspects == suspects


def test_a_health_is_as_old_as_its_word() -> None:
    first = after(None, Verdict(Word.HUNG, "one"), 1.0)
    assert after(first, Verdict(Word.HUNG, "another"), 5.0) == Health(Verdict(Word.HUNG, "another"), 1.0, 5.0)
    assert after(first, Verdict(Word.IDLE), 5.0).since == 5.0


def test_a_cause_that_many_queues_have_is_named_once() -> None:
    refused = Health(Verdict(Word.BROKER_DOWN, "the broker refuses user or password: 403"), 0.0, 0.0)
    healths = {f"q{number}": refused for number in range(50)}
    healths["mails"] = Health(Verdict(Word.HUNG, "its main loop does not turn"), 0.0, 0.0)
    healths["fine"] = Health(Verdict(Word.IDLE), 0.0, 0.0)
    assert common(healths) == "the broker refuses user or password (50 queues); its main loop does not turn (mails)"


def test_what_was_seen_before_a_worker_came_into_its_state_is_said_of_it_no_more() -> None:
    world, _ = serving(emails=1)
    away = Health(Verdict(Word.BROKER_DOWN, "the broker can't be reached"), 0.0, 0.0)
    world.node = replace(world.node, health={"emails": away})
    assert (
        summary(world.node) == "consuming from 1 queue; the broker can't be reached (emails); `agent check` says more"
    )
    world.node = replace(world.node, health={"emails": replace(away, at=-1.0)})
    assert summary(world.node) == "consuming from 1 queue"


def test_where_all_is_well_it_is_looked_at_no_more_often_than_workers_beat() -> None:
    assert next_look([Pulse(NOW - 4.9)], [], inf, NOW) >= NOW + 5
    assert next_look([Pulse(NOW - 4.9)], [], inf, NOW) <= NOW - 4.9 + SILENCE + 1
    assert next_look([], [Health(Verdict(Word.HUNG, grace=60.0), NOW - 58, NOW)], inf, NOW) <= NOW + 3
    assert next_look([Pulse(NOW - 90)], [], inf, NOW) > NOW
    assert NOW + 3 < next_look([], [], NOW + 3, NOW) <= NOW + 4
    assert next_look([], [], NOW - 1, NOW) > NOW


def test_a_hung_worker_is_replaced_after_its_grace_and_its_task_is_suspected() -> None:
    world, pids = serving(emails=1)
    world.node = replace(world.node, queues={"emails": replace(world.node.queues["emails"], current=_hangs(world))})
    seen = {"emails": Seen(Pulse(0.0, queues=QUEUES, active=(TASK,), active_count=1))}
    world.now = 100.0
    assert world.handle(Looked(seen)) == ()
    world.now = 159.0
    assert world.handle(Looked(seen)) == ()
    world.now = 160.0
    assert world.handle(Looked(seen)) == (ShowStacks("emails", pids["emails"], "its main loop does not turn"),)
    world.now = 161.0
    world.tick()
    assert world.stopped == [("emails", Shutdown.KILL)]
    world.exit(pids["emails"])
    queue = world.node.queues["emails"]
    assert (queue.restarts, queue.current.state, queue.current.replaced) == (1, State.STARTING, None)
    assert [(each.id, each.deaths) for each in world.node.suspects["emails"]] == [("id", 1)]
    assert "replaced by the agent: its main loop does not turn" in world.node.suspects["emails"][0].cause


@pytest.mark.parametrize(
    ("seen", "how"),
    [
        (Seen(SILENT), Shutdown.COLD),
        (Seen(SILENT, is_stopped=True), Shutdown.WARM),
        (Seen(FRESH._replace(queues=())), Shutdown.WARM),
        (Seen(FRESH), Shutdown.WARM),
    ],
)
def test_a_worker_whose_loop_is_known_not_to_turn_is_not_given_the_whole_time_to_go(seen: Seen, how: Shutdown) -> None:
    for event in (Drain(Shutdown.WARM), None):
        world, _ = serving(emails=1)
        world.now = NOW
        world.handle(Looked({"emails": seen}))
        world.now = NOW + IDLE_BEAT
        world.handle(event) if event is not None else world.adopt(plan())
        assert world.stopped == [("emails", how)]


def test_a_worker_is_not_held_to_what_the_one_before_it_was() -> None:
    health = Health(Verdict(Word.HUNG, leaves=Shutdown.COLD), NOW - 50, NOW - 20)
    assert leaving(CONSUMING, health, NOW) is Shutdown.COLD
    assert leaving(replace(CONSUMING, since=NOW - 10), health, NOW) is Shutdown.WARM
    assert leaving(CONSUMING, None, NOW) is Shutdown.WARM


def test_a_node_that_was_stopped_as_a_whole_and_is_told_to_go_lets_its_workers_finish() -> None:
    world, _ = serving(emails=1)
    world.now = NOW  # nobody has looked meanwhile, and no worker has beaten
    world.handle(Looked({"emails": Seen(SILENT)}))
    world.handle(Drain(Shutdown.WARM))
    assert world.stopped == [("emails", Shutdown.WARM)]


def test_the_one_that_hangs_goes_so_when_its_successor_takes_over() -> None:
    world, _ = serving(emails=1)
    world.now = NOW
    world.handle(Looked({"emails": Seen(SILENT)}))
    world.now = NOW + IDLE_BEAT
    world.adopt(plan(emails=2))
    world.consume()
    assert world.stopped == [("emails", Shutdown.COLD)]


def _hangs(world: object) -> Worker:
    current: Worker = world.node.queues["emails"].current  # type: ignore[attr-defined]
    return replace(current, spec=replace(current.spec, hung_timeout=60.0))


def test_a_deaf_worker_may_finish_its_tasks_and_none_is_suspected() -> None:
    world, _ = serving(emails=1)
    world.node = replace(world.node, queues={"emails": replace(world.node.queues["emails"], current=_hangs(world))})
    for world.now in (100.0, 160.0):
        actions = world.handle(Looked({"emails": Seen(Pulse(world.now, active=(TASK,), active_count=1), broker=THERE)}))
    assert [type(action) for action in actions] == [ShowStacks, Stop]
    assert world.stopped == [("emails", Shutdown.WARM)]
    world.handle(Happened("emails", 1, Exited(0, ("id",))))
    assert world.node.suspects["emails"] == ()


def test_a_worker_that_the_plan_takes_away_while_it_is_replaced_is_not_started_again() -> None:
    stopping = replace(CONSUMING, state=State.STOPPING, wanted=False, stopping_with=Shutdown.KILL)
    assert step(stopping, Tick(), NOW)[0].state is State.STOPPING
    assert step(stopping, Exited(-9), NOW)[0].state is State.STOPPED
