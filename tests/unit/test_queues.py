"""The topology of the safe profile, as values."""

import pytest

from celery_delivery.errors import ContractError
from celery_delivery.topology.queues import (
    Binding,
    ExchangeDeclaration,
    QueueDeclaration,
    arguments_of,
    declared_task_queue,
    task_queue,
    topology,
)


def test_a_dead_letter_queue_is_declared_before_the_queue_that_sends_there() -> None:
    assert [queue.name for queue in topology(["b", "a"]).queues] == ["a.dead", "a", "b.dead", "b"]


def test_every_queue_is_a_quorum_queue() -> None:
    assert {queue.arguments["x-queue-type"] for queue in topology(["a", "b"]).queues} == {"quorum"}


def test_each_queue_has_an_exchange_of_its_own() -> None:
    found = topology(["a", "b"])
    assert found.exchanges == (ExchangeDeclaration("a", "direct"), ExchangeDeclaration("b", "direct"))
    assert found.bindings == (Binding("a", "a", "a"), Binding("b", "b", "b"))


@pytest.mark.parametrize("name", ["", "x" * 251, "д" * 126])
def test_a_name_that_no_broker_takes_is_refused(name: str) -> None:
    with pytest.raises(ContractError, match="1 to 250 bytes"):
        task_queue(name)


def test_the_same_queue_twice_is_declared_once() -> None:
    assert topology(["a", "a"]) == topology(["a"])


def test_a_queue_that_clients_declare_has_the_arguments_of_the_topology() -> None:
    declared = QueueDeclaration("a", arguments_of("a"))
    assert declared in topology(["a"]).queues
    assert task_queue("a").queue_arguments == declared_task_queue("a").queue_arguments == declared.arguments


def test_an_operator_who_has_declared_a_queue_is_not_second_guessed() -> None:
    queue = declared_task_queue("a")
    assert queue.no_declare
    assert queue.exchange.no_declare


def test_a_dead_letter_may_be_looked_at_as_often_as_one_likes() -> None:
    """RabbitMQ 4 drops what was delivered more than 20 times from a queue without a limit of its own."""
    (dead, _) = topology(["a"]).queues
    assert int(dead.arguments["x-delivery-limit"]) > 1_000_000_000
