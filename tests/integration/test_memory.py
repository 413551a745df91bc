"""What replaces workers and their processes: MEMORY_SOFT on each pool; so many tasks, or so much memory, with prefork."""

from __future__ import annotations

import json
from itertools import groupby

from tests.node import EACH_POOL, TASKS, Node
from tests.waiting import wait_until

LEAK = """
            elif action == "leak":
                HELD.append(bytearray(b"x") * value * 1_048_576)
                return os.getpid()
            return value
"""
SEND = """
results = [worker.delay("leak", 4) for _ in range(20)]
pids = [each.get(timeout=60) for each in results]
print(json.dumps(pids))
"""


def test_a_worker_that_leaks_is_replaced_and_no_task_is_lost_on_each_pool(node: Node) -> None:
    (node.code / "greek.py").write_text("HELD = []\n" + TASKS.replace("            return value\n", LEAK))
    node.configure_pools(EACH_POOL, DEFAULTS__MEMORY_SOFT="100", DEFAULTS__CONCURRENCY="1", DEFAULTS__PREFETCH="8")
    node.start()
    node.wait_until_consuming()
    before = node.pids()
    for queue, pids in node.produce_at_once(SEND, EACH_POOL).items():
        assert len(pids) == 20
        status = node.wait_for(queue, lambda each: each["recycled"] == 1, "is replaced")
        assert (status["restarts"], status["last_exit"]) == (0, None)
        wait_until(lambda queue=queue: node.pids()[queue] != before[queue], 60, "another serves")  # type: ignore[misc]
        assert f"worker-grown queue={queue} generation=1 memory=" in node.log.read_text()
        assert json.dumps(node.send(queue, "return", 5)) == "5"
    wait_until(lambda: all(not node.queue(each)["draining"] for each in EACH_POOL), 60, "the old ones have gone")
    assert "Traceback" not in node.log.read_text()


def test_a_process_of_a_pool_is_replaced_after_so_many_tasks_or_for_its_memory(node: Node) -> None:
    (node.code / "greek.py").write_text("HELD = []\n" + TASKS.replace("            return value\n", LEAK))
    own = {"QUEUES__alpha__MAX_TASKS_PER_CHILD": "5", "QUEUES__beta__MAX_MEMORY_PER_CHILD": "80"}
    node.configure("alpha", "beta", **own)
    node.start()
    node.wait_until_consuming()
    for queue, pids in node.produce_at_once(SEND, ["alpha", "beta"]).items():
        runs = [len(list(group)) for _, group in groupby(pids)]
        assert len(runs) == len(set(pids)) > 1
        assert queue == "beta" or runs == [5, 5, 5, 5]
        assert node.queue(queue)["restarts"] == 0
