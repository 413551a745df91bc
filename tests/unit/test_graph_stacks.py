"""What is drawn of instances, and what is left out because nobody knows it."""

from dataclasses import replace

import pytest

from agent.cli.draw import words
from agent.cli.draw.model import Exchange, Queue, Stack, Tone
from agent.cli.draw.stacks import Sight, graph_of
from agent.decide.status import QueueStatus
from tests.unit.drawings import FLEET, KINDS, queue, sight


def stack_of(*sights: Sight) -> Stack:
    (stack,) = graph_of(sights).stacks
    return stack


def queue_of(*queues: QueueStatus) -> Queue:
    ((found,),) = (exchange.queues for exchange in stack_of(sight(*queues)).exchanges)
    return found


def by_exchange(*queues: QueueStatus) -> list[tuple[str | None, list[str]]]:
    def name(exchange: Exchange) -> str | None:
        return None if exchange.box is None else exchange.box.name

    return [(name(each), [one.box.name for one in each.queues]) for each in stack_of(sight(*queues)).exchanges]


def test_nodes_that_use_one_broker_meet_in_its_queues() -> None:
    stack = stack_of(*FLEET)
    assert [[one.box.name for one in each.queues] for each in stack.exchanges] == [["mails"], ["orders"]]
    (mails,) = stack.exchanges[0].queues
    assert [each.worker.name for each in mails.strands] == ["magic on node1", "magic on node2", "magic on node3"]
    assert [each.mark.word for each in mails.strands] == ["ok", "ok", "stuck"]


@pytest.mark.parametrize("broker", ["amqp://guest:**@localhost:5672//", "redis://127.0.0.1/0", "embedded:///tmp/b"])
def test_a_broker_of_a_node_s_own_is_another_one_on_each(broker: str) -> None:
    sights = [sight(queue("q"), node=node, broker=broker, embedded="embedded" in broker) for node in ("a", "b")]
    assert [each.notes[0] for each in graph_of(sights).stacks] == ["of a", "of b"]


def test_instances_of_two_users_of_a_broker_are_of_one_stack() -> None:
    sights = [sight(queue(name), broker=f"amqp://{name}:**@broker//", instance=name) for name in ("a", "b")]
    assert stack_of(*sights).name == "amqp://broker//"


def test_queues_of_one_exchange_stand_beside_it_and_those_of_none_by_themselves() -> None:
    queues = (queue("b", exchange="x"), queue("a", exchange=""), queue("c", exchange="x"), queue("x", exchange=""))
    assert by_exchange(*queues) == [(None, ["a"]), ("x", ["b", "c"]), (None, ["x"])]


def test_an_instance_without_queues_is_drawn_as_what_it_is() -> None:
    graph = graph_of(KINDS)
    assert [(each.box.name, each.mark.word, each.mark.tone) for each in graph.stacks[-1].absent] == [
        ("billing", "not running", Tone.OFF),
        ("stuck", "no answer", Tone.BAD),
        ("young", "starting", Tone.PASSING),
    ]


def test_the_process_that_sends_periodic_tasks_is_a_source_and_no_worker() -> None:
    stack = graph_of(KINDS).stacks[2]
    assert [(each.name, each.lines) for each in stack.sources] == [
        ("producers", ()),
        ("schedule", ("4 entries", "magic")),
    ]
    assert "magic.schedule" not in [one.box.name for each in stack.exchanges for one in each.queues]


def test_a_schedule_that_another_node_sends_says_so() -> None:
    (first,) = [each for each in KINDS if each.status is not None and each.status.schedule is not None]
    assert first.status is not None
    assert first.status.schedule is not None
    waiting = replace(first.status, schedule=replace(first.status.schedule, leads=False, entries=(), count=0))
    assert stack_of(replace(first, status=waiting)).sources[1].lines[0] == "another node sends"


def test_of_what_is_not_known_nothing_is_said() -> None:
    found = queue_of(
        queue(
            "q",
            waiting=None,
            oldest=None,
            consumers=None,
            rate_in=None,
            rate_out=None,
            exchange="",
            dead_letters="",
            health="",
        )
    )
    assert (found.box.lines, found.rate_in, found.rate_out, found.dead) == ((), "", "", None)
    assert (found.strands[0].mark.word, found.strands[0].cause) == ("consuming", "")


def test_numbers_of_a_broker_that_could_not_be_asked_are_not_shown() -> None:
    assert queue_of(queue("q", unseen="the user may not ask")).box.lines == ()


def test_what_one_node_knows_of_a_queue_is_known_of_it() -> None:
    sights = (
        sight(queue("q", waiting=None, oldest=None), node="a"),
        sight(queue("q", waiting=9, oldest=None), node="b"),
    )
    (exchange,) = stack_of(*sights).exchanges
    assert exchange.queues[0].box.lines == ("9 waiting", "1 consumer")  # of two that are drawn


def test_consumers_are_counted_where_they_are_others_than_are_drawn() -> None:
    assert queue_of(queue("q", consumers=1)).box.lines == ("3 waiting · oldest 4.2 s",)
    assert queue_of(queue("q", consumers=4)).box.lines == ("3 waiting · oldest 4.2 s", "4 consumers")


@pytest.mark.parametrize(
    ("changes", "word", "cause"),
    [
        ({"health": "broker_down", "cause": "refused"}, "broker down", "refused"),
        ({"state": "backoff", "consuming": False, "last_exit": "exit status 1", "retry_in": 4.0}, "backoff",
         "backoff, exit status 1, next try in 4.0 s"),
        ({"unresponsive": 20.0}, "unresponsive", ""),
        ({"consuming": False, "obstacle": "no process gets ready"}, "held up", "no process gets ready"),
        ({"wanted": False}, "leaving", ""),
        ({"losing": "no Redis"}, "consuming", "results are lost: no Redis"),
        ({"last_exit": "killed by SIGKILL"}, "consuming", ""),
    ],
)  # fmt: skip
def test_a_worker_says_how_it_does_and_why(changes: dict[str, object], word: str, cause: str) -> None:
    strand = queue_of(queue("q", **{"health": "", **changes})).strands[0]
    assert (strand.mark.word, strand.cause) == (word, cause)


@pytest.mark.parametrize(
    ("rate", "shown"),
    [(None, ""), (0.0, "0/s"), (1e-9, "<0.01/s"), (0.04, "0.04/s"), (4.25, "4.2/s"),
     (98.96, "99.0/s"), (99.5, "100/s"), (1234.0, "1.2k/s"),
     (123_456.7, "123k/s"), (999_400.0, ">999k/s"), (1e6, "1.0M/s"), (1e15, ">999G/s")],
)  # fmt: skip
def test_a_rate_has_room_above_an_arrow(rate: float | None, shown: str) -> None:
    assert words.rate(rate) == shown
    assert len(shown) <= 7
