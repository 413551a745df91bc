"""Messages that RabbitMQ 3.10 could not make a dead letter of: the worker does, and no other queue is touched by it."""

from __future__ import annotations

import re
from functools import partial
from pathlib import Path
from typing import Any

import amqp
import pytest

from celery_delivery.topology import delays
from celery_delivery.topology.queues import declare as declare_topology
from tests.integration.dead_letters import declare, desk, ids_in, letters, publish, reject, task, waiting
from tests.integration.strict import Strict
from tests.node import ROOT, Node
from tests.waiting import wait_until

DOCUMENT = ROOT / "docs" / "broker.md"
POOLS = {"alpha": "solo", "beta": "threads", "gamma": "prefork"}


def fatal(queue: str) -> dict[str, Any]:
    """Return headers x-death that stop dead letters: of the whole broker, and of their queue."""
    good = {"queue": "elsewhere", "reason": "rejected", "count": 1}
    return {
        "a number": [5],
        "text": [good, "hello"],
        "a count that is none": [{"queue": queue, "reason": "rejected", "count": "x"}],
        "a circle": [{"queue": f"{queue}.dead", "reason": "expired", "count": 1}],
    }


def undying(queue: str, deaths: Any, id: str, *args: object, **headers: object) -> amqp.Message:  # noqa: A002
    message = task(queue, *args, id=id)
    message.properties["application_headers"] |= {"x-death": deaths, **headers}
    return message


def has_dead(node: Node, queue: str, count: int) -> bool:
    return waiting(node, f"{queue}.dead") == count


def documented() -> tuple[str, str]:
    """Return the cure, and the way back from it."""
    cure, back = re.findall(r"^    rabbitmqctl eval '(.*?)'$", DOCUMENT.read_text(), re.DOTALL | re.MULTILINE)
    return cure, back


def dead_letter_worker(node: Node) -> str:
    """Return the process of the broker's that moves dead letters; another one after each of its ends."""
    return node.broker.evaluate("whereis(rabbit_fifo_dlx_sup).")


@pytest.mark.rabbitmq_4
def test_what_the_broker_could_not_let_die_is_a_dead_letter_and_never_runs(node: Node, tmp_path: Path) -> None:
    """In the strict mode: a node may write to its queues' exchanges alone."""
    strict = Strict(node, tmp_path, "off")
    node.configure(*POOLS, **{f"QUEUES__{queue}__POOL": pool for queue, pool in POOLS.items()})
    strict.declare(strict.definitions())
    node.start()
    node.wait_until_consuming()
    before = dead_letter_worker(node)
    node.wait_for("alpha", lambda of: of["dead"] == 0, "is told that none is dead, which takes no rights")
    for queue in POOLS:
        for name, deaths in fatal(queue).items():
            publish(node, queue, undying(queue, deaths, name))
        broken = undying(queue, [5], "not to be read", compression="zlib")
        publish(node, queue, broken, undying(queue, "text", "harmless"))
    expected = {*fatal(""), "not to be read"}
    for queue in POOLS:
        wait_until(partial(has_dead, node, queue, len(expected)), 30, f"{queue}: all are dead")
        assert waiting(node, queue) == 0
        node.wait_for(queue, lambda of: of["succeeded"] == 1, "ran what can die")
    assert dead_letter_worker(node) == before


def test_one_that_is_replayed_runs(alpha: Node) -> None:
    """Also the copy that a worker's death leaves beside its message: both are dead letters, and nothing runs twice."""
    alpha.start()
    alpha.wait_until_consuming()
    copy = task("alpha", id="one")
    copy.properties["application_headers"]["celery-tasks-undying"] = "x-death"
    publish(alpha, "alpha", copy, undying("alpha", [5], "one"))
    wait_until(lambda: waiting(alpha, "alpha.dead") == 2, 30, "both are dead")
    found = letters(alpha)
    text = "its header x-death is none that the broker can go on with"
    assert [(each["id"], each["reason"], each["text"]) for each in found] == [("one", "unreadable", text)] * 2
    assert alpha.queue("alpha")["succeeded"] == 0
    desk(alpha, "replay", "--all")
    alpha.wait_for("alpha", lambda queue: queue["succeeded"] == 2, "both are run")
    assert waiting(alpha, "alpha.dead") == 0


def test_one_whose_copy_is_not_taken_is_kept_until_it_is(node: Node) -> None:
    node.configure("alpha", DEFAULTS__POOL="solo")
    node.start()
    node.wait_until_consuming()
    with node.broker.connect(node.vhost) as connection:
        channel = connection.channel()
        channel.queue_unbind("alpha", "alpha", "alpha")
        channel.basic_publish(undying("alpha", [5], "one"), "", "alpha")
        wait_until(lambda: "It is kept, and tried again in 5 s" in node.log.read_text(), 60, "it is told")
        assert waiting(node, "alpha.dead") == 0
        channel.queue_bind("alpha", "alpha", "alpha")
    wait_until(lambda: waiting(node, "alpha.dead") == 1, 60, "it is dead")
    assert waiting(node, "alpha") == 0
    assert node.send("alpha", "return", 1) == 1


def test_the_cure_of_the_document_gets_all_dead_letters_out_again(node: Node) -> None:
    """What no worker has got: a queue's own message, and others behind it, in another queue too."""
    declare(node, "alpha", "beta")
    for queue in ("alpha", "beta"):
        publish(node, queue, undying(queue, "text", "one"), undying(queue, "text", "two"))
    publish(node, "alpha", undying("alpha", [5], "fatal"))
    reject(node, "alpha", 3)
    wait_until(lambda: dead_letter_worker(node) == "undefined", 30, "all dead letters have stopped")
    reject(node, "beta", 2)
    cure, back = documented()
    node.broker.control("eval", cure)
    wait_until(partial(has_dead, node, "alpha", 3), 30, "alpha's are out")
    wait_until(partial(has_dead, node, "beta", 2), 30, "beta's are out")
    node.broker.control("eval", back)
    publish(node, "beta", undying("beta", "text", "three"))
    reject(node, "beta", 1)
    wait_until(partial(has_dead, node, "beta", 3), 30, "deaths are counted again")
    assert ids_in(node, "alpha.dead") == ["one", "two", "fatal"]


@pytest.mark.parametrize("where", ["in the delays", "in its queue, by a time to live of its own"])
def test_the_cure_gets_out_what_has_expired_before_a_worker_got_it(node: Node, where: str) -> None:
    """A producer's own rights are enough for it."""
    declare(node, "alpha")
    fatal_one = undying("alpha", [5], "fatal")
    with node.broker.connect(node.vhost) as connection:
        channel = connection.channel()
        if where == "in the delays":
            declare_topology(delays.topology(["alpha"]), channel)
            channel.basic_publish(fatal_one, delays.FIRST, delays.routing_key(1, "alpha"))
        else:
            fatal_one.properties["expiration"] = "1"
            channel.basic_publish(fatal_one, "alpha", "alpha")
        wait_until(lambda: dead_letter_worker(node) == "undefined", 60, "all dead letters have stopped")
        cure, back = documented()
        node.broker.control("eval", cure)
        queue = "alpha" if where == "in the delays" else "alpha.dead"
        wait_until(lambda: ids_in(node, queue) == ["fatal"], 60, "it is out")
        node.broker.control("eval", back)
    wait_until(lambda: dead_letter_worker(node).startswith("<"), 30, "dead letters go out")
