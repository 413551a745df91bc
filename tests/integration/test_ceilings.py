"""What a message asks for does not win over its node: limits, its place among the messages, Celery's own tasks."""

import json
import re
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import amqp
import pytest

from celery_delivery.topology.delays import FIRST, level
from tests.integration.dead_letters import letters, publish, task, waiting
from tests.node import Node
from tests.waiting import wait_until

POOLS = {"alpha": "solo", "beta": "threads", "gamma": "prefork"}
HOUR = timedelta(hours=1)
BUILT_IN = ("accumulate", "backend_cleanup", "chain", "chord", "chord_unlock", "chunks", "group", "map", "starmap")


@pytest.fixture
def running(node: Node) -> Node:
    """A node with a queue for each pool, whose workers have one place each."""
    pools = {f"QUEUES__{queue}__POOL": pool for queue, pool in POOLS.items()}
    node.configure(*POOLS, **pools, DEFAULTS__CONCURRENCY="1", DEFAULTS__PREFETCH="1")
    node.start()
    node.wait_until_consuming()
    return node


def asking(queue: str, *args: object, id: str = "", **headers: object) -> amqp.Message:  # noqa: A002
    message = task(queue, *args, id=id)
    message.properties["application_headers"] |= headers
    return message


def in_seconds(seconds: float) -> str:
    return (datetime.now(UTC) + timedelta(seconds=seconds)).isoformat()


def first_protocol(queue: str, *args: object, **options: object) -> amqp.Message:
    body = {"task": queue, "id": "first", "args": args, "kwargs": {}, **options}
    return amqp.Message(json.dumps(body), content_type="application/json", content_encoding="utf-8")


def built_in(queue: str, name: str, **kwargs: object) -> amqp.Message:
    return asking(queue, id=name, task=f"celery.{name}") if not kwargs else task(f"celery.{name}", id=name, **kwargs)


def dead(node: Node, queue: str, count: int) -> bool:
    return waiting(node, f"{queue}.dead") == count


def ran(node: Node, queue: str, count: int) -> None:
    node.wait_for(queue, lambda of: of["succeeded"] == count, f"has run {count}")


def in_delays(node: Node, count: int) -> bool:
    return (
        sum(waiting(node, level(number)) for number in range(25) if node.broker.queue(level(number), node.vhost))
        == count
    )


@pytest.mark.parametrize("ask", ["headers", "first protocol", "mixed"])
def test_a_time_limit_above_the_node_s_does_not_hold(node: Node, ask: str) -> None:
    node.configure("gamma", DEFAULTS__POOL="prefork", DEFAULTS__TIME_LIMIT="2")
    node.start()
    node.wait_until_consuming()
    endless = ("sleep", 3600)
    if ask == "headers":
        message = asking("gamma", *endless, timelimit=[1_000_000_000, 1_000_000_000])
    elif ask == "first protocol":
        message = first_protocol("gamma", *endless, timelimit=[1e9, 1e9])
    else:
        message = asking("gamma")
        message.body = json.dumps({"args": endless, "kwargs": {}, "timelimit": [1e9, 1e9]})
    publish(node, "gamma", message)
    wait_until(lambda: "Hard time limit (2.0s) exceeded" in node.log.read_text(), 60, "it is ended")


def test_lower_time_limits_are_kept(node: Node) -> None:
    node.configure("gamma", DEFAULTS__POOL="prefork", DEFAULTS__TIME_LIMIT="600", DEFAULTS__SOFT_TIME_LIMIT="500")
    node.start()
    node.wait_until_consuming()
    publish(node, "gamma", asking("gamma", "sleep", 3600, id="soft", timelimit=[1000, 1]))
    node.wait_for("gamma", lambda of: of["failed"] == 1, "has raised SoftTimeLimitExceeded")
    publish(node, "gamma", asking("gamma", "sleep", 3600, id="hard", timelimit=[1, None]))
    wait_until(lambda: "Hard time limit (1s) exceeded" in node.log.read_text(), 60, "it is ended")


@pytest.mark.rabbitmq_4
@pytest.mark.parametrize("queue", POOLS)
def test_what_is_due_later_holds_up_nobody_and_runs_once(running: Node, queue: str) -> None:
    later = datetime.now(UTC) + HOUR
    stamp = later.replace(tzinfo=None, microsecond=0)
    publish(
        running,
        queue,
        asking(queue, eta=later.isoformat()),
        asking(queue, eta=stamp),  # as a time of AMQP's, which has no zone
        asking(queue, eta=stamp.isoformat(), compression=None, x_death="not a list"),
        first_protocol(queue, eta=later.isoformat()),
        asking(queue, eta=in_seconds(3)),
        asking(queue),
    )
    ran(running, queue, 2)
    wait_until(partial(in_delays, running, 4), 30, "four wait in the broker")
    assert waiting(running, queue) == waiting(running, f"{queue}.dead") == 0


def test_what_waits_keeps_all_that_belongs_to_it(running: Node) -> None:
    soon = in_seconds(5)
    code = f"""
from celery_delivery.sending.producer import Producer
Producer._route = lambda *_: {{"exchange": "alpha", "routing_key": "alpha"}}  # not by the delays, as other producers send
results = [worker.apply_async(("return", 7), eta={soon!r}, compression=each) for each in (None, "bzip2")]
print(json.dumps([each.get(timeout=60) for each in results]))"""
    assert running.produce(code, "alpha") == [7, 7]
    soon = in_seconds(5)
    publish(running, "alpha", asking("alpha", eta=soon, expires=soon, id="expired"))
    wait_until(lambda: "Discarding revoked task" in running.log.read_text(), 60, "it has expired")
    assert running.queue("alpha")["succeeded"] == 2
    assert running.log.read_text().count("waits in the broker until then") == 3


@pytest.mark.parametrize("eta", ["tomorrow", "", 0, False, "9999-12-31T23:59:59", ["2030-01-01"]])
def test_what_is_no_time_or_too_far_away_is_a_dead_letter(running: Node, eta: object) -> None:
    publish(running, "alpha", asking("alpha", eta=eta), asking("alpha"))
    wait_until(partial(dead, running, "alpha", 1), 30, "it is dead")
    ran(running, "alpha", 1)


def test_what_the_delays_do_not_take_is_kept_and_runs_when_it_is_due(running: Node) -> None:
    publish(running, "alpha", asking("alpha", eta=in_seconds(2)))
    ran(running, "alpha", 1)
    with running.broker.connect(running.vhost) as connection:
        connection.channel().exchange_delete(FIRST)
    publish(running, "alpha", asking("alpha", eta=in_seconds(8), id="kept"))
    told = re.compile(r"\[kept\].* It is kept, and tried again in 5 s")
    wait_until(lambda: told.search(running.log.read_text()), 60, "it is told")
    assert waiting(running, "alpha.dead") == 0
    ran(running, "alpha", 2)


@pytest.mark.parametrize("queue", POOLS)
def test_celery_s_own_tasks_are_dead_letters_except_what_workflows_need(running: Node, queue: str) -> None:
    own: dict[str, Any] = {"task": queue, "args": [], "kwargs": {}, "options": {}, "subtask_type": None}
    unlock = {**own, "task": "celery.chord_unlock"}
    group = {**own, "subtask_type": "group", "kwargs": {"tasks": []}}
    messages = {
        **{name: built_in(queue, name) for name in BUILT_IN},
        "chord_unlock": built_in(queue, "chord_unlock", group_id="one", callback=own, result=[]),
        "map": built_in(queue, "map", task=unlock, it=[1]),
        "starmap": built_in(queue, "starmap", task=group, it=[[1]]),
    }
    del messages["accumulate"]
    publish(running, queue, *messages.values(), built_in(queue, "map", task=own, it=["return"]))
    wait_until(partial(dead, running, queue, len(messages)), 60, "all are dead")
    ran(running, queue, 1)
    assert {each["id"] for each in letters(running)} == set(messages)
    said = running.log.read_text()
    for name in messages:
        assert f"celery.{name}" in said


@pytest.mark.parametrize("number", [-1_000_000, 10**12])
def test_a_number_of_retries_that_can_t_be_is_a_dead_letter(running: Node, number: int) -> None:
    publish(running, "alpha", asking("alpha", "retry", 5, retries=number))
    wait_until(partial(dead, running, "alpha", 1), 30, "it is dead")
    assert running.queue("alpha")["retried"] == 0
