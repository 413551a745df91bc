"""The same messages by way of a real RabbitMQ, to the workers of a real agent."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from string import digits

import amqp
import pytest

from tests.integration import hosting_worker
from tests.integration.dead_letters import waiting
from tests.integration.hosted import noted
from tests.integration.hostile import Fuzz, is_good
from tests.integration.test_hostile_messages import POOLS, mixed
from tests.integration.wire_broker import Delivery
from tests.node import Node
from tests.waiting import wait_until


class Bytes(amqp.Message):
    """A message whose properties are sent as they are."""

    def __init__(self, message: Delivery) -> None:
        super().__init__(message.body)
        self._raw = message.properties

    def _serialize_properties(self) -> bytes:
        return self._raw


def declare(node: Node) -> None:
    """Have an exchange of the test's own lead to queue alpha, whatever the routing key is."""
    with node.broker.connect(node.vhost) as connection:
        channel = connection.channel()
        channel.exchange_declare("hostile", "fanout", auto_delete=False)
        channel.queue_bind("alpha", "hostile")


def publish(node: Node, messages: Sequence[Delivery]) -> set[int]:
    """Publish messages to queue alpha; return the places of those that RabbitMQ takes."""
    left, taken = deque(enumerate(messages)), set()
    while left:
        connection = node.broker.connect(node.vhost)
        try:
            channel = connection.channel()
            while left:
                place, message = left.popleft()
                channel.basic_publish_confirm(Bytes(message), "hostile", message.key)
                taken.add(place)
            connection.close()
        except (amqp.exceptions.AMQPError, OSError, UnicodeDecodeError):  # what it can't read itself, it refuses
            connection.collect()
    return taken


@pytest.mark.fuzz
@pytest.mark.parametrize("pool", POOLS)
def test_hostile_messages_of_a_producer_cost_a_node_no_worker_and_no_task(
    node: Node, tmp_path: Path, pool: str, count: int, seed: int
) -> None:
    notes = tmp_path / "notes"
    notes.touch()
    (node.code / "greek.py").write_text(Path(hosting_worker.__file__).read_text())
    node.variables["HOSTING_NOTES"] = str(notes)
    node.configure("alpha", "beta", DEFAULTS__POOL=pool, DEFAULTS__CONCURRENCY="1", DEFAULTS__PREFETCH="64")
    node.start()
    node.wait_until_consuming()
    before = node.queue("alpha")
    messages, kinds = mixed()
    first = len(messages)
    fuzz = enumerate(Fuzz(seed, count // 10), first)
    messages += [replace(each, key=b"%d" % n + each.key.lstrip(digits.encode())) for n, each in fuzz]
    declare(node)
    taken = publish(node, messages)

    def done() -> bool:
        dead = waiting(node, "alpha.dead")
        return len(noted(notes, "ran")) + len(noted(notes, "told")) + dead >= len(taken)

    wait_until(done, 120, "each is run or dead")
    ran, told = noted(notes, "ran"), noted(notes, "told")
    assert len(ran) + len(told) + waiting(node, "alpha.dead") == len(taken), "none is both, and none is lost"
    assert set(ran.values()) == {1}
    assert not ran.keys() & kinds.keys()
    good = {n for n in range(len(messages)) if (n not in kinds if n < first else is_good(n - first))}
    assert good <= ran.keys()
    assert waiting(node, "alpha") == 0
    after = node.queue("alpha")
    assert (after["pid"], after["restarts"]) == (before["pid"], 0)
