"""The rows of a status: what is kept of one says what one that is made anew would, whatever has changed."""

import json
from dataclasses import fields, replace
from typing import Any, NamedTuple

import pytest

from agent.decide.backlog import Backlog
from agent.decide.endings import Ending
from agent.decide.health import Health, Verdict
from agent.decide.limits import Enforcement, with_cgroup, without_cgroup
from agent.decide.node import Node, Queue
from agent.decide.plan import Way
from agent.decide.rows import Rows, Sample, Told
from agent.decide.status import QueueStatus
from agent.decide.view import View
from agent.decide.words import State, Word
from agent.decide.worker_state import Worker
from agent.guest.scoreboard import ActiveTask, Pulse
from agent.guest.spec import Limits
from tests.unit.specs import SPEC, plan

WORKER = Worker(
    replace(SPEC, limits=Limits(pids_max=9)), state=State.CONSUMING, wanted=True, generation=2, pid=7, since=90.0
)
OTHER = replace(WORKER, generation=3, pid=8)


class Facts(NamedTuple):
    """What rows are made of."""

    node: Node
    pulses: dict[int, Pulse]
    seen: View
    samples: dict[int, Sample]
    enforcement: Enforcement
    now: float


FACTS = Facts(
    Node(plan(), {"q": Queue(WORKER)}, health={"q": Health(Verdict(Word.IDLE), 90.0, 99.0)}),
    {7: Pulse(99.0, queues=("q",), succeeded=1)},
    View(backlogs={"q": Backlog(0, 1)}),
    {7: Sample(1024, 0.5, 2)},
    without_cgroup("none here"),
    100.0,
)


def with_node(**changes: Any) -> Facts:
    return FACTS._replace(node=replace(FACTS.node, **changes))


def with_queue(**changes: Any) -> Facts:
    return with_node(queues={"q": replace(Queue(WORKER), **changes)})


def with_pulse(**changes: Any) -> Facts:
    return FACTS._replace(pulses={7: FACTS.pulses[7]._replace(**changes)})


CHANGED = {
    "worker": with_queue(current=replace(WORKER, state=State.BACKOFF, deadline=120.0, not_started="no memory")),
    "successor": with_queue(successor=replace(OTHER, state=State.STARTING, pid=None)),
    "retiring": with_queue(retiring=(OTHER,))._replace(pulses={**FACTS.pulses, 8: Pulse(99.0, succeeded=4)}),
    "ending": with_queue(restarts=1, last_exit=Ending(-9)),
    "way": with_node(plan=replace(plan(), ways=(Way("q", "x", "q.dead"),))),
    "health": with_node(health={"q": Health(Verdict(Word.HUNG, "its main loop does not turn"), 95.0, 99.0)}),
    "no health yet": with_node(health={}),
    "backlog": FACTS._replace(seen=View(backlogs={"q": Backlog(3, 1, 2.0, 1.0, 9.8765, "", 4)})),
    "nothing is known": FACTS._replace(seen=View("the watcher is being started")),
    "enforcement": FACTS._replace(enforcement=with_cgroup({"pids": None}, "cgroup")),
    "counts": with_pulse(succeeded=5, failed=4, retried=3, revoked=2, set_aside=1, results_lost=1),
    "obstacle": with_pulse(obstacle="no process gets ready"),
    "losing": with_pulse(losing="Redis is away"),
    "clock": with_pulse(clock="it is 40 s behind"),
    "tasks": with_pulse(active=(ActiveTask('"id"', "send", 98.0, 5.0, True),), active_count=1, lag=0.25),
    "silence": with_pulse(at=50.0),
    "no pulse": FACTS._replace(pulses={}),
    "sample": FACTS._replace(samples={7: Sample(2048, 0.75, 3)}),
    "no sample": FACTS._replace(samples={}),
    "time": FACTS._replace(now=103.0),
    "another queue": with_node(queues={"q": Queue(WORKER), "p": Queue(OTHER)}),
    "no queue": with_node(queues={}),
}


def anew(facts: Facts) -> Told:
    return Rows().of(*facts)


@pytest.mark.parametrize("change", CHANGED)
def test_a_row_that_is_kept_says_what_one_that_is_made_anew_would(change: str) -> None:
    rows = Rows()
    assert rows.of(*FACTS) == anew(FACTS)
    changed = rows.of(*CHANGED[change])
    assert changed == anew(CHANGED[change])
    assert changed != anew(FACTS)
    assert rows.of(*FACTS) == anew(FACTS)


@pytest.mark.parametrize("change", ["time", "sample"])
def test_what_lasts_is_made_once(change: str, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = Rows()
    rows.of(*FACTS)
    monkeypatch.setattr("agent.decide.rows._lasting", lambda *_: pytest.fail("it is made anew"))
    rows.of(*CHANGED[change])


@pytest.mark.parametrize("change", CHANGED)
def test_a_row_has_the_fields_that_a_status_has_of_a_queue(change: str) -> None:
    for text in anew(CHANGED[change]).texts:
        row = json.loads(text)
        assert row.keys() == {each.name for each in fields(QueueStatus)}
        assert list(row) == [name for name, _ in json.loads(text, object_pairs_hook=list)]  # none of them twice


def test_a_row_is_json_whatever_is_in_it() -> None:
    row = json.loads(anew(CHANGED["tasks"]).texts[0])
    assert (row["active"], row["lag"], row["retry_in"], row["memory"]) == (
        [{"id": '"id"', "name": "send", "age": 2.0, "again": True}],
        0.25,
        None,
        1024,
    )


def test_a_queue_whose_worker_runs_nothing_is_counted() -> None:
    assert [anew(CHANGED[change]).held_up for change in ("time", "obstacle", "silence", "health", "worker")] == [
        0,
        1,
        1,
        1,
        0,
    ]
