"""A producer on a cluster, one of whose nodes dies."""

from collections.abc import Iterator

import pytest

from tests.cluster import Cluster, leader
from tests.node import Node
from tests.truth import assert_true
from tests.waiting import wait_until


@pytest.fixture
def cluster() -> Iterator[Cluster]:
    cluster = Cluster()
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
