"""The operator's declaration on a real broker: it can be imported twice, and its users can do what they must and no more."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import amqp
import pytest
from amqp.exceptions import AccessRefused, NotFound

from agent.errors import FAILURE, OK
from celery_delivery.topology.delays import DUE, FIRST, routing_key
from celery_delivery.topology.revocations import NAME as REVOKED
from tests.integration.strict import ROLES, Strict, declared, in_order
from tests.node import Node
from tests.rabbitmq import RabbitMQ
from tests.redis import Redis
from tests.waiting import wait_until


@pytest.fixture
def strict(node: Node, tmp_path: Path) -> Iterator[Strict]:
    """An instance without results, declared, to do anything with."""
    with declared(node, tmp_path, "off") as strict:
        yield strict


@pytest.fixture(scope="module")
def untouched(broker: RabbitMQ, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Strict]:
    """The same for tests that change nothing. There is a queue gamma beside its own, with an exchange of its name."""
    vhost = "untouched"
    broker.add_vhost(vhost)
    folder = tmp_path_factory.mktemp(vhost)
    with declared(Node(folder, broker, vhost), folder, "off") as strict:
        with broker.connect(vhost) as connection:
            channel = connection.channel()
            channel.queue_declare("gamma")
            channel.exchange_declare("gamma", "direct")
            channel.queue_bind("gamma", "gamma", "gamma")
        yield strict
    broker.delete_vhost(vhost)


@pytest.mark.rabbitmq_4
class TestDefinitions:
    def test_say_the_same_every_time(self, untouched: Strict) -> None:
        assert untouched.definitions() == untouched.definitions()

    def test_can_be_imported_twice_without_a_change(self, strict: Strict) -> None:
        first = strict.exported()
        strict.declare(strict.definitions())
        assert strict.exported() == first

    def test_are_what_the_broker_then_has(self, strict: Strict) -> None:
        said, found = strict.definitions(), strict.exported()
        for kind in found:
            assert in_order(said[kind]) == in_order(known(found[kind], said[kind])), kind

    def test_are_what_clients_would_have_declared(self, node: Node, strict: Strict) -> None:
        """Else each of them would be refused (406 PRECONDITION_FAILED)."""
        before = strict.exported()["queues"]
        node.variables = {**node.broker.variables(node.vhost)}
        node.configure("alpha", "beta")
        node.start()
        node.wait_until_consuming()
        assert node.send("beta", "return", 1) == 1
        assert [each for each in strict.exported()["queues"] if not each["name"].startswith("replies.")] == before

    def test_of_several_instances_put_together_what_one_user_may_do(self, untouched: Strict) -> None:
        node = untouched.node
        text = node.env_file.read_text()
        (node.config / "other.env").write_text(text.replace("greek:Alpha,greek:Beta", "greek:Gamma"))
        done = node.run("topology", "magic", "other", "--definitions")
        value = json.loads(done.stdout)
        (permission,) = value["permissions"]
        assert permission["read"] == rf"^(alpha|beta|{re.escape(REVOKED)}|gamma)$"
        assert permission["write"] == rf"^(alpha|beta|{re.escape(FIRST)}|{re.escape(REVOKED)}|gamma)$"
        topic = next(each for each in value["topic_permissions"] if each["exchange"] == FIRST)
        assert topic["write"] == r"^(.*\.alpha|.*\.beta|.*\.gamma)$"


REVOKE = """
from celery.exceptions import TaskRevokedError
result = worker.apply_async(("return", 1), countdown=2)
result.revoke()
try:
    result.get(timeout=60)
except TaskRevokedError as error:
    print(json.dumps(str(error)))"""


def known(found: list[dict[str, Any]], said: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return what was found without fields that nobody gave a value: the broker adds some."""
    fields = {name for each in said for name in each}
    return [{name: value for name, value in each.items() if name in fields} for each in found]


@pytest.mark.rabbitmq_4
def test_a_node_and_a_producer_do_their_work_with_the_rights_they_have(
    node: Node, redis_server: Redis, tmp_path: Path
) -> None:
    """Consume, ack, retry, and a result by Redis; nothing is declared, and nobody else's user is used."""
    with declared(node, tmp_path, redis_server.url) as strict:
        before = strict.exported()
        node.start()
        node.wait_until_consuming()
        node.variables |= strict.login("producer")
        assert node.send("alpha", "return", 7) == 7
        assert node.send("beta", "retry", 2) == 2
        assert node.produce(REVOKE, "alpha") == "revoked"
        node.wait_for("beta", lambda queue: queue["retried"] == 2, "has tried again")
        assert strict.exported() == before
        assert [node.broker.messages(queue, node.vhost) for queue in ("alpha.dead", "beta.dead")] == [0, 0]


def test_remote_control_is_off(strict: Strict, node: Node) -> None:
    """Whoever may write to its exchange could shut workers down."""
    node.start()
    node.wait_until_consuming()
    with node.broker.connect(node.vhost) as connection, pytest.raises(NotFound):
        connection.channel().exchange_declare("celery.pidbox", "fanout", passive=True)


class TestANode:
    @pytest.mark.parametrize(
        "attempt",
        [
            pytest.param(lambda channel: channel.queue_declare("mine"), id="declare a queue"),
            pytest.param(lambda channel: channel.queue_delete("alpha"), id="delete its own queue"),
            pytest.param(lambda channel: channel.exchange_declare("mine", "direct"), id="declare an exchange"),
            pytest.param(lambda channel: channel.exchange_delete("alpha"), id="delete its own exchange"),
            pytest.param(lambda channel: channel.queue_bind("alpha", "gamma", "gamma"), id="have others' tasks come"),
            pytest.param(lambda channel: channel.basic_get("alpha.dead"), id="read its dead letters"),
            pytest.param(lambda channel: channel.queue_purge("alpha.dead"), id="purge its dead letters"),
            pytest.param(lambda channel: channel.basic_get("gamma"), id="read another queue"),
            pytest.param(lambda channel: send(channel, "gamma", "gamma"), id="send to another queue"),
            pytest.param(lambda channel: send(channel, "", "gamma"), id="send to any queue"),
            pytest.param(
                lambda channel: send(channel, FIRST, routing_key(1, "gamma")), id="send to another queue later"
            ),
            pytest.param(lambda channel: send(channel, DUE, "alpha"), id="get past the delays"),
            pytest.param(lambda channel: send(channel, "", "alpha.dead"), id="send to its dead letters"),
            pytest.param(lambda channel: send(channel, "amq.topic", "x"), id="send to all who listen"),
            pytest.param(lambda channel: send(channel, "amq.fanout", ""), id="send to everybody"),
        ],
    )
    def test_may_not(self, untouched: Strict, attempt: Callable[[Any], object]) -> None:
        channel = untouched.channel("node")
        with pytest.raises(AccessRefused):
            attempt(channel)
        channel.connection.close()

    @pytest.mark.rabbitmq_4
    def test_that_may_not_even_retry_fails_the_task_and_says_why(self, strict: Strict, node: Node) -> None:
        """What the right to write is for."""
        nothing = {**strict.definitions()["permissions"][0], "write": "^$"}
        strict.declare({"permissions": [nothing]})
        node.start()
        node.wait_until_consuming()
        node.variables |= strict.login("producer")
        node.send_and_leave("alpha", "retry", 1)
        node.wait_for("alpha", lambda queue: queue["failed"] == 1, "counts the task as failed")
        assert "ACCESS_REFUSED" in node.log.read_text()
        assert [node.broker.messages(name, node.vhost) for name in ("alpha", "alpha.dead")] == [0, 0]


@pytest.mark.parametrize(
    "attempt",
    [
        pytest.param(lambda channel: channel.basic_get("alpha"), id="read a queue"),
        pytest.param(lambda channel: channel.queue_purge("alpha"), id="purge a queue"),
        pytest.param(lambda channel: channel.queue_declare("mine"), id="declare a queue"),
        pytest.param(lambda channel: send(channel, "", "alpha.dead"), id="send around the exchange"),
        pytest.param(lambda channel: send(channel, FIRST, routing_key(1, "gamma")), id="send to another queue later"),
    ],
)
def test_a_producer_may_send_and_nothing_else(untouched: Strict, attempt: Callable[[Any], object]) -> None:
    channel = untouched.channel("producer")
    send(channel, "alpha", "alpha")
    send(channel, FIRST, routing_key(1, "alpha"))
    with pytest.raises(AccessRefused):
        attempt(channel)
    channel.connection.close()


def test_an_operator_may_replay_and_the_node_may_not(strict: Strict, node: Node) -> None:
    with node.broker.connect(node.vhost) as connection:
        channel = connection.channel()
        channel.basic_publish(amqp.Message("[[], {}, {}]", content_type="application/json"), "alpha", "alpha")
        channel.basic_reject(wait_until(lambda: channel.basic_get("alpha")).delivery_tag, requeue=False)
    wait_until(lambda: node.broker.messages("alpha.dead", node.vhost) == 1, 60, "it is a dead letter")
    done = node.run("dead-letters", "magic")
    assert done.returncode == FAILURE
    assert "This user may not read 'alpha.dead': name one who may, with --user and --password-file." in done.stderr
    login = ("--user", strict.users["operator"], "--password-file", str(strict.files["operator"]))
    assert node.run("dead-letters", "magic", "replay", "--all", *login).stdout == "magic: 1 replayed: 1 of alpha\n"
    assert node.broker.messages("alpha", node.vhost) == 1


def test_a_queue_that_nobody_may_declare_and_nobody_has_is_found_by_a_check(strict: Strict, node: Node) -> None:
    assert node.run("check", "magic").returncode == OK
    with node.broker.connect(node.vhost) as connection:
        connection.channel().queue_delete("beta")
    done = node.run("check", "magic")
    assert done.returncode == FAILURE
    (line,) = [line for line in done.stdout.splitlines() if "FAIL" in line]
    assert "has no queue 'beta', and CELERY_TASKS_DECLARE=0 lets nobody declare it" in line
    assert line.endswith("import what `agent topology magic --definitions` prints.")


def test_results_through_the_broker_cost_rights_and_that_is_said(node: Node, tmp_path: Path) -> None:
    with declared(node, tmp_path, "rpc") as strict:
        said = node.run("topology", "magic").stderr
        assert "its user may write to the default exchange, and so into every queue of the vhost" in said
        node.start()
        node.wait_until_consuming()
        node.variables |= strict.login("producer")
        assert node.send("alpha", "return", 7) == 7


def test_people_get_tables(untouched: Strict) -> None:
    strict, node = untouched, untouched.node
    lines = [line.split() for line in node.run("topology", "magic").stdout.splitlines()]
    assert ["QUEUE", "FOR", "ARGUMENTS"] in lines
    assert [
        strict.users["node"],
        node.vhost,
        "^$",
        rf"^(alpha|beta|{re.escape(FIRST)}|{re.escape(REVOKED)})$",
        rf"^(alpha|beta|{re.escape(REVOKED)})$",
    ] in lines
    assert [strict.users["node"], node.vhost, FIRST, r"^(.*\.alpha|.*\.beta)$"] in lines


def send(channel: Any, exchange: str, routing_key: str) -> None:
    """Send a message, and wait until the broker has looked at it."""
    channel.confirm_select()
    channel.basic_publish_confirm(amqp.Message("{}"), exchange, routing_key)


@pytest.mark.parametrize("role", ROLES)
def test_a_broker_lets_in_whom_the_definitions_made(untouched: Strict, role: str) -> None:
    assert untouched.channel(role).is_open
