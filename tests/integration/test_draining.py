"""A worker that is told to go ends what it runs, however long that takes, and the broker hears of it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.certificates import Authority
from tests.node import Node
from tests.rabbitmq import RabbitMQ
from tests.truth import held_to_the_truth

pytestmark = pytest.mark.celery

HEARTBEAT = 2  # seconds; who is silent for two of them is cut off
LONG = 6 * HEARTBEAT


@pytest.fixture(scope="module")
def impatient_broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RabbitMQ]:
    """A broker that soon takes a silent client for dead, with a port for TLS."""
    authority = Authority(tmp_path_factory.mktemp("certificates") / "ours")
    broker = RabbitMQ(f"heartbeat = {HEARTBEAT}", identity=authority.identity("IP:127.0.0.1"))
    try:
        broker.start()
        yield broker
    finally:
        broker.close()


@pytest.fixture
def impatient_node(tmp_path: Path, impatient_broker: RabbitMQ) -> Iterator[Node]:
    node = Node(tmp_path, impatient_broker, tmp_path.name)
    impatient_broker.add_vhost(node.vhost)
    with held_to_the_truth(node):
        yield node


# With TLS only the pool whose loop once stood still: the others differ in nothing that TLS is about.
@pytest.mark.parametrize(
    ("pool", "way"), [("solo", "plain"), ("threads", "plain"), ("threads", "TLS"), ("prefork", "plain")]
)
def test_what_ends_in_a_long_drain_is_acked(impatient_node: Node, pool: str, way: str) -> None:
    node = impatient_node
    concurrency = 1 if pool == "solo" else 2
    if way == "TLS":
        node.variables = node.broker.tls_variables(node.vhost)
    node.configure("alpha", DEFAULTS__POOL=pool, DEFAULTS__CONCURRENCY=str(concurrency), DEFAULTS__WARM_TIMEOUT="60")
    node.start()
    node.wait_until_consuming()
    for _ in range(concurrency):
        node.send_and_leave("alpha", "sleep", LONG)
    node.wait_for("alpha", lambda queue: queue["active_count"] == concurrency, "runs its tasks")
    assert node.stop() == 0
    assert node.broker.messages("alpha", node.vhost) == 0
