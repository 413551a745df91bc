"""Which tasks are suspected of ending their worker: a row of the table a test; what of it is bounded; what follows from it."""

import json
import socket
from types import SimpleNamespace

import pytest

from agent.decide import backoff
from agent.decide.blame import LONGEST_CAUSE, LONGEST_ID, MOST_SUSPECTS, blamed
from agent.decide.events import Died, Drain, Exited, Fork, Happened, Shutdown
from agent.guest.messages import LARGEST, Suspect, decode, encode
from celery_delivery.worker.blame import Blame, Deaths
from tests.unit.specs import SPEC, plan
from tests.unit.world import serving

ABORT = "killed by SIGABRT"


def alone(task: str, deaths: int, cause: str = ABORT) -> Suspect:
    return Suspect(task, deaths, cause, was_alone=True)


def beside(task: str, deaths: int) -> Suspect:
    return Suspect(task, deaths, ABORT, was_alone=False)


@pytest.mark.parametrize(
    ("known", "running", "after"),
    [
        ((), ("a",), (alone("a", 1),)),
        ((alone("a", 1),), ("a",), (alone("a", 2),)),
        ((beside("a", 1),), ("a",), (alone("a", 2),)),
        ((alone("a", 2, "killed by SIGKILL"),), ("a",), (alone("a", 3, f"killed by SIGKILL, {ABORT}"),)),
        ((alone("a", 3, "killed by SIGKILL"),), ("a",), (alone("a", 1),)),
        ((alone("a", 3),), ("a", "b"), (beside("a", 1), beside("b", 1))),
        ((alone("a", 2),), ("b",), (alone("a", 2), alone("b", 1))),
        ((alone("a", 2), alone("b", 1)), ("a",), (alone("b", 1), alone("a", 3))),
        ((alone("a", 2),), ("a", "b"), (alone("a", 2), beside("b", 1))),
        ((alone("a", 2),), (), (alone("a", 2),)),
    ],
)
def test_each_row_of_the_table(
    known: tuple[Suspect, ...], running: tuple[str, ...], after: tuple[Suspect, ...]
) -> None:
    assert blamed(known, running, ABORT, 3) == after


def test_a_flood_of_suspects_pushes_out_the_least_recent() -> None:
    found = blamed((alone("first", 2),), [str(number) for number in range(MOST_SUSPECTS)], ABORT, 3)
    assert len(found) == MOST_SUSPECTS
    assert found[-1].id == str(MOST_SUSPECTS - 1)
    assert "first" not in {each.id for each in found}


def test_the_suspects_of_a_queue_go_to_its_worker_in_one_datagram_whatever_their_ids_are() -> None:
    ids = [chr(0x1F400 + number) * LONGEST_ID for number in range(MOST_SUSPECTS)]
    found = blamed((), [*ids, "x" * (LONGEST_ID + 1)], ABORT * 99, 3)
    assert [each.id for each in found] == ids
    assert all(len(each.cause) <= LONGEST_CAUSE for each in found)
    datagram = encode(Fork(SPEC, 1, found, is_careful=True))
    assert len(datagram) < LARGEST
    here, there = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with here, there:
        here.setblocking(False)
        assert here.send(datagram) == len(datagram)
    assert decode(datagram) == Fork(SPEC, 1, found, is_careful=True)
    assert json.loads(datagram)["is_careful"]


def test_what_ran_when_a_worker_ended_is_told_to_the_next_and_outlasts_a_reload() -> None:
    world, pids = serving(a=1)
    suspects = (beside("one", 1), beside("two", 1))
    (fork,) = world.handle(Happened(*world.alive.pop(pids["a"]), Exited(-6, ("one", "two"))))
    assert isinstance(fork, Fork)
    assert (fork.is_careful, fork.suspects) == (True, suspects)
    world.consume()
    (fork,) = world.adopt(plan(a=2))
    assert isinstance(fork, Fork)
    assert (fork.is_careful, fork.suspects) == (False, suspects)


def test_what_ended_a_process_of_a_pool_is_told_to_the_next_worker_and_one_that_goes_is_not_believed() -> None:
    world, pids = serving(a=1)
    assert world.handle(Happened("a", 1, Died("one", ABORT))) == ()
    (fork,) = world.handle(Happened(*world.alive.pop(pids["a"]), Exited(-9, ("one",))))
    assert isinstance(fork, Fork)
    assert fork.suspects == (alone("one", 2, f"{ABORT}, killed by SIGKILL"),)
    world.consume()
    world.handle(Drain(Shutdown.COLD))
    world.handle(Happened("a", 2, Died("two", ABORT)))
    assert world.node.suspects["a"] == fork.suspects


def test_what_a_worker_runs_that_was_told_to_end_is_no_suspect() -> None:
    world, pids = serving(a=1)
    world.adopt(plan(a=2))
    world.consume()  # so that the former one is told to go
    world.handle(Happened(*world.alive.pop(pids["a"]), Exited(-9, ("one",))))
    assert world.node.suspects.get("a", ()) == ()


def test_the_queue_of_a_task_that_ends_its_worker_waits_for_a_second_at_most() -> None:
    assert [backoff.delay(n, backoff.LONGEST_BESIDE_TASKS) for n in (1, 2, 3, 9)] == [0, 1, 1, 1]
    assert backoff.delay(9) == backoff.LONGEST


@pytest.mark.parametrize(
    ("known", "came_back", "is_set_aside", "where"),
    [
        (Deaths(2, ABORT, was_alone=True), 2, False, "here"),
        (Deaths(3, ABORT, was_alone=True), 3, True, "here"),
        (Deaths(1, ABORT, was_alone=True), 3, False, "here"),
        (Deaths(1, ABORT, was_alone=True), 4, True, "here"),
        (Deaths(2, ABORT, was_alone=False), 4, False, "here beside others"),
        (Deaths(2, ABORT, was_alone=True), None, False, "here"),
    ],
)
def test_deaths_on_other_nodes_count_where_one_was_here_and_its_own(
    known: Deaths, came_back: int | None, is_set_aside: bool, where: str
) -> None:
    blame = Blame()
    blame.begin({"one": known}, 3)
    message = SimpleNamespace(headers={"x-delivery-count": came_back} if came_back is not None else {})
    request = SimpleNamespace(id="one", delivery_info={"redelivered": True}, message=message)
    assert bool(blame.verdict(request)) == is_set_aside
    assert blame.suspicion(request).endswith(f"while it ran {where}: {ABORT}")
    request.id = "another"
    assert (blame.verdict(request), blame.suspicion(request)) == ("", "")
