"""What an instance says about itself, from its state, its workers' pulses and their samples."""

import json
from dataclasses import asdict, replace

import pytest

from agent.control.protocol import Refusal, Request, decode_answer, decode_request, encode_answer, encode_request
from agent.decide import status_json
from agent.decide.keeping import Keeping
from agent.decide.limits import without_cgroup
from agent.decide.node import Node, Queue
from agent.decide.plan import Difference, Way
from agent.decide.rows import UNHEARD, Rows, Sample
from agent.decide.snapshot import Agent, snapshot, summary, systemd_line
from agent.decide.status import Status, TaskStatus
from agent.decide.view import view
from agent.decide.words import State
from agent.decide.worker_state import Worker
from agent.errors import ProtocolError
from agent.guest.scoreboard import ActiveTask, Pulse
from tests.unit.specs import SPEC, plan

AGENT = Agent("magic", "1.0", 1, started=0.0, enforcement=without_cgroup("none here"))


def worker(state: State, pool: str = "prefork", pid: int | None = 7) -> Worker:
    return Worker(replace(SPEC, pool=pool), state=state, wanted=True, generation=2, pid=pid, since=90.0)


def node(*workers: Worker) -> Node:
    return Node(plan(), {f"q{number}": Queue(each) for number, each in enumerate(workers)})


def taken(node: Node, pulse: Pulse | None = None, now: float = 100.0) -> Status:
    pulses = {} if pulse is None else {7: pulse}
    samples = {7: Sample(1024, 0.5, 2), 1: Sample(2048, 0.1, 1)}
    told = snapshot(AGENT, node, pulses, view(node, pulses, now), samples, now, Rows())
    return status_json.decode_status(json.loads(told))


def test_a_queue_says_what_its_worker_runs_and_has_run() -> None:
    active = (ActiveTask("id", "send", 98.0),)
    queue = taken(
        node(worker(State.CONSUMING)),
        Pulse(99.0, queues=("q0",), active=active, active_count=1, succeeded=5, failed=4, retried=3),
    ).queues[0]
    assert (queue.consuming, queue.active, queue.active_count) == (True, (TaskStatus("id", "send", 2.0),), 1)
    assert (queue.succeeded, queue.failed, queue.retried, queue.age) == (5, 4, 3, 10.0)
    assert (queue.memory, queue.cpu, queue.processes) == (1024, 0.5, 2)


def test_systemd_is_told_of_the_agent_s_own_troubles_too() -> None:
    agent = replace(AGENT, keeping=Keeping("/var", "the disk is full: free space"), behind=("q0",))
    line = systemd_line(agent, node(worker(State.CONSUMING)))
    assert line.startswith("consuming from 1 queue; the disk is full: free space; this node's clock is behind ")
    assert systemd_line(AGENT, node(worker(State.CONSUMING))) == "consuming from 1 queue"


def test_its_json_form_has_all_of_it() -> None:
    active = tuple(ActiveTask(name, "send", 98.0) for name in ("one", "other"))
    seen = taken(
        node(worker(State.CONSUMING), worker(State.BACKOFF)), Pulse(99.0, queues=("q0",), active=active, active_count=2)
    )
    assert status_json.encode_status(seen) == {"schema": 1, **json.loads(json.dumps(asdict(seen)))}


def test_a_worker_whose_loop_is_silent_does_not_count_as_consuming() -> None:
    queue = taken(node(worker(State.CONSUMING)), Pulse(at=50.0)).queues[0]
    assert (queue.consuming, queue.unresponsive) == (False, 50.0)


def test_a_worker_that_is_held_up_does_not_count_as_consuming() -> None:
    seen = taken(node(worker(State.CONSUMING)), Pulse(at=99.0, obstacle="no process gets ready"))
    assert (seen.queues[0].consuming, seen.queues[0].obstacle) == (False, "no process gets ready")
    assert seen.summary == "consuming from 1 queue, of which 1 run nothing"
    assert seen.is_degraded()


def test_a_worker_that_can_report_no_more_says_why_it_stops() -> None:
    queue = taken(node(replace(worker(State.STOPPING), unheard=True)), Pulse(at=99.0)).queues[0]
    assert (queue.consuming, queue.obstacle) == (False, UNHEARD)


@pytest.mark.parametrize(
    ("of", "pulse", "text"),
    [
        (worker(State.CONSUMING), Pulse(at=99.0), None),
        (replace(worker(State.STOPPING), wanted=False), Pulse(at=99.0), None),
        (worker(State.CONSUMING), Pulse(at=99.0, obstacle="no process gets ready"), "no process gets ready"),
        (worker(State.CONSUMING), Pulse(at=50.0), "its worker has been silent for 50 s"),
        (worker(State.CONNECTING), Pulse(at=99.0), "waiting for broker"),
        (replace(worker(State.BACKOFF), not_started="no memory"), None, "backoff, could not be started: no memory"),
    ],
)
def test_a_queue_that_runs_nothing_says_why_in_one_line(of: Worker, pulse: Pulse | None, text: str | None) -> None:
    assert taken(node(of), pulse).queues[0].trouble() == text


def test_a_solo_worker_is_silent_while_it_runs_a_task() -> None:
    pulse = Pulse(at=50.0, active=(ActiveTask("id", "send", 50.0),), active_count=1)
    assert taken(node(worker(State.CONSUMING, pool="solo")), pulse).queues[0].consuming


def test_a_worker_that_waits_for_the_broker_is_never_called_unresponsive() -> None:
    assert taken(node(worker(State.CONNECTING)), Pulse(at=0.0)).queues[0].unresponsive is None


@pytest.mark.parametrize(
    ("workers", "line"),
    [
        ([State.CONSUMING], "consuming from 1 queue"),
        ([State.CONSUMING, State.CONSUMING], "consuming from 2 queues"),
        ([State.CONSUMING, State.CONNECTING], "consuming from 1 of 2 queues, 1 waiting for broker"),
        ([State.STARTING, State.BACKOFF], "consuming from 0 of 2 queues, 1 starting, 1 failing"),
    ],
)
def test_the_summary_counts_what_is_not_well(workers: list[State], line: str) -> None:
    assert summary(node(*map(worker, workers))) == line


def test_the_summary_says_what_the_embedded_broker_is_for() -> None:
    here = node(worker(State.CONSUMING))
    assert here.plan is not None
    assert "tasks can be lost" in summary(replace(here, plan=replace(here.plan, embedded=True)))


def test_a_removed_queue_is_shown_and_keeps_nobody_waiting() -> None:
    leaving = replace(worker(State.STOPPING), wanted=False)
    seen = taken(node(worker(State.CONSUMING), leaving), Pulse(at=99.0))
    assert [queue.wanted for queue in seen.queues] == [True, False]
    assert seen.is_consuming()
    assert not seen.is_degraded()


@pytest.mark.parametrize(
    "not_running", [Node(None, {}), replace(node(replace(worker(State.STOPPING), wanted=False)), draining=True)]
)
def test_an_instance_that_reads_its_configuration_or_stops_is_not_well(not_running: Node) -> None:
    assert taken(not_running).is_degraded()


def test_a_queue_being_replaced_is_not_yet_what_was_asked_for() -> None:
    replaced = Node(plan(), {"q0": Queue(worker(State.CONSUMING), successor=worker(State.STARTING, pid=None))})
    assert not taken(replaced, Pulse(at=99.0)).is_consuming()


def test_answers_survive_the_way_to_the_command() -> None:
    seen = taken(node(worker(State.CONSUMING)), Pulse(at=99.0, active=(ActiveTask("id", "send", 1.0),)))
    assert decode_answer(encode_answer(status_json.status_text(seen))) == seen
    for answer in (Difference(("a",), (), ("b",), (), ()), Refusal("no", 78)):
        assert decode_answer(encode_answer(answer)) == answer


def test_requests_survive_the_way_to_the_daemon() -> None:
    assert [decode_request(encode_request(request)) for request in Request] == list(Request)


def test_a_former_release_answers_with_a_status_where_only_figures_are_asked_for() -> None:
    assert json.loads(encode_request(Request.FIGURES))["request"] == "status"


@pytest.mark.parametrize("line", [b"", b"{}", b"[]", b'{"request": "explode"}', b"\xff"])
def test_what_is_no_request_is_refused_with_what_is_known(line: bytes) -> None:
    with pytest.raises(ProtocolError, match="known: status, health, reload"):
        decode_request(line)


def test_a_status_of_another_schema_is_refused() -> None:
    value = status_json.encode_status(taken(node(worker(State.CONSUMING))))
    with pytest.raises(ProtocolError, match="schema 2"):
        status_json.decode_status({**value, "schema": 2})


@pytest.mark.parametrize("value", [None, "text", 5, [], {}])
def test_what_is_no_status_is_refused(value: object) -> None:
    with pytest.raises(ProtocolError, match="a status was expected"):
        status_json.decode_status(value)


def test_a_queue_says_what_leads_to_it_and_where_its_dead_letters_go() -> None:
    known = replace(node(worker(State.CONSUMING)), plan=replace(plan(), ways=(Way("q0", "x", "q0.dead"),)))
    queue = taken(known).queues[0]
    assert (queue.exchange, queue.dead_letters) == ("x", "q0.dead")
