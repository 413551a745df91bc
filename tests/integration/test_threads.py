"""A pool of threads on a host that lets it have no more of them."""

from __future__ import annotations

from tests.node import Node
from tests.truth import assert_well

NARROW = """
import os, resource, time
import celery

class Alpha(celery.Task):
    name = "alpha"

    def run(self, file):
        if not file:
            return "done"
        with open("/proc/self/statm") as sizes:
            size = int(sizes.read().split()[0]) * resource.getpagesize()
        soft, hard = resource.getrlimit(resource.RLIMIT_AS)
        resource.setrlimit(resource.RLIMIT_AS, (size + 6 * 1_048_576, hard))  # a thread's stack is 8 MiB
        while not os.path.exists(file):
            time.sleep(0.1)
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))
        return "waited"
"""


def test_a_task_that_finds_no_new_thread_waits_for_one_that_is_there(node: Node) -> None:
    (node.code / "greek.py").write_text(NARROW)
    node.configure("alpha", DEFAULTS__POOL="threads", DEFAULTS__CONCURRENCY="2")
    node.start()
    node.wait_until_consuming()
    file = node.code / "go"
    code = f"""
import time
first = worker.delay({str(file)!r})
time.sleep(2)
second = worker.delay("")
time.sleep(2)
open({str(file)!r}, "w").close()
print(json.dumps([str(each.get(timeout=60, propagate=False)) for each in (first, second)]))"""
    assert node.produce(code, "alpha") == ["waited", "done"]
    assert node.log.read_text().count("No thread could be started for a task: can't start new thread") == 1
    assert node.broker.messages("alpha.dead", node.vhost) == 0
    assert_well(node)
