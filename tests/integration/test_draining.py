"""A worker that is told to go ends what it runs, however long that takes, and the broker hears of it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.certificates import Authority
from tests.node import NAMES, Node
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


# All at once, since a long drain is long. With TLS only the pool whose loop once stood still: the others differ in nothing that
# TLS is about.
PLACES = {"solo": 1, "threads": 2, "prefork": 2}


@pytest.mark.parametrize(("way", "pools"), [("plain", ("solo", "threads", "prefork")), ("TLS", ("threads",))])
def test_what_ends_in_a_long_drain_is_acked(impatient_node: Node, way: str, pools: tuple[str, ...]) -> None:
    node = impatient_node
    if way == "TLS":
        node.variables = node.broker.tls_variables(node.vhost)
    queues = dict(zip(NAMES, pools, strict=False))
    places = {f"QUEUES__{queue}__CONCURRENCY": str(PLACES[pool]) for queue, pool in queues.items()}
    node.configure_pools(queues, DEFAULTS__WARM_TIMEOUT="60", **places)
    node.start()
    node.wait_until_consuming()
    for queue, pool in queues.items():
        for _ in range(PLACES[pool]):
            node.send_and_leave(queue, "sleep", LONG)
        node.wait_for(queue, lambda said: said["active_count"] == said["concurrency"], "runs its tasks")
    assert node.stop() == 0
    assert {pool: node.broker.messages(queue, node.vhost) for queue, pool in queues.items()} == dict.fromkeys(pools, 0)
