"""A task closes all that its worker has open: another worker takes its place, and the status never stays at "consuming"."""

from tests.node import Node
from tests.truth import assert_well

CLOSES = """
import os
import celery

def make(task_name):
    class Task(celery.Task):
        name = task_name

        def run(self, what):
            if what == "close" and not self.request.delivery_info["redelivered"]:
                os.closerange(3, 256)
            return what
    return Task

Alpha, Beta = map(make, ["alpha", "beta"])
"""
POOLS = {"alpha": "solo", "beta": "threads"}  # with prefork a task has descriptors of its own


def test_a_worker_whose_task_closes_all_descriptors_is_replaced(node: Node) -> None:
    (node.code / "greek.py").write_text(CLOSES)
    node.configure(*POOLS, **{f"QUEUES__{queue}__POOL": pool for queue, pool in POOLS.items()})
    node.start()
    node.wait_until_consuming()
    before = node.pids()
    for queue in POOLS:
        node.send_and_leave(queue, "close")
    for queue in POOLS:
        node.wait_for(queue, lambda of: of["consuming"] and of["pid"] not in before.values(), "is consumed from again")
        assert node.send(queue, "return") == "return"
        assert f"worker-unheard queue={queue} generation=1" in node.log.read_text()
    assert_well(node)
