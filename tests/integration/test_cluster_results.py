"""A producer on a cluster, one of whose nodes dies."""

from collections.abc import Iterator

import pytest
from kombu import Connection

from celery_delivery.sending.producer import Producer
from tests.cluster import Cluster, leader
from tests.node import Node
from tests.truth import assert_true
from tests.waiting import wait_until


@pytest.fixture
def cluster(request: pytest.FixtureRequest) -> Iterator[Cluster]:
    """Give three nodes, or as many as a test asks for."""
    cluster = Cluster(getattr(request, "param", 3))
    try:
        cluster.start()
        yield cluster
    finally:
        cluster.close()


@pytest.mark.rabbitmq_4
def test_a_producer_goes_on_when_the_node_that_has_its_results_dies(
    cluster: Cluster, tmp_path_factory: pytest.TempPathFactory
) -> None:
    first = cluster.first
    first.add_vhost("here")
    node = Node(tmp_path_factory.mktemp("node"), first, "here")
    try:
        node.configure("alpha", DEFAULTS__POOL="solo")
        node.start()
        node.wait_until_consuming()
        code = """
import sys
def result(number):
    try:
        return worker.apply_async(("return", number), confirm_timeout=30).get(timeout=60)
    except Exception as error:
        return repr(error)
print(result(1), worker.app.backend.oid, flush=True)
sys.stdin.readline()
print(result(2), worker.app.backend.oid, flush=True)"""
        with node.producing(code, "alpha") as producer:
            assert producer.stdout is not None
            assert producer.stdin is not None
            value, queue = producer.stdout.readline().split()
            assert value == "1"
            for each in cluster.nodes:
                each.settle()
            leader(cluster.nodes, queue, "here").kill()
            wait_until(lambda: len(cluster.running()) == 2, 60, "the cluster has lost a node")
            producer.stdin.write("\n")
            producer.stdin.flush()
            value, other = producer.stdout.readline().rsplit(maxsplit=1)
        assert value == "2"
        assert other != queue
        node.broker = next(each for each in cluster.nodes if each.is_running)
        assert_true(node)
    finally:
        node.close()


@pytest.mark.rabbitmq_4
@pytest.mark.parametrize("cluster", [2], indirect=True)
def test_queues_for_results_are_deleted_though_the_node_of_one_of_them_is_down(cluster: Cluster) -> None:
    lasting, dying = cluster.nodes
    for name, node in (("replies.1", lasting), ("replies.2", dying), ("replies.3", lasting)):
        with node.connect() as connection:
            connection.channel().queue_declare(name, durable=True, auto_delete=False)  # on the node that is asked
    with Connection(";".join(f"amqp://{node.host}:{node.port}" for node in (dying, lasting))) as connection:
        connection.connect()
        dying.kill()
        wait_until(lambda: len(cluster.running()) == 1, 60, "the cluster has lost a node")
        Producer(connection).delete(["replies.1", "replies.2", "replies.3"])
    left = lasting.control("list_queues", "name", "--no-table-headers").split()
    assert set(left) <= {"replies.2"}  # RabbitMQ 3.10 can't delete it
