"""Limits where no cgroup is delegated: what is left of them, changed while workers run, and what is said of the rest."""

from tests.node import Node

TRY = """
try:
    print(worker.delay("allocate", 300).get(timeout=60))
except MemoryError:
    print('"MemoryError"')
"""


def test_without_a_cgroup_a_task_that_takes_more_than_memory_max_fails(node: Node) -> None:
    node.configure("alpha", "beta", QUEUES__alpha__MEMORY_MAX="200")
    node.start()
    node.wait_until_consuming()
    assert node.produce(TRY, "alpha") == "MemoryError"
    assert node.produce(TRY, "beta") == 300 * 1_048_576


def test_a_limit_is_changed_by_a_reload_and_the_worker_stays(node: Node) -> None:
    node.configure("alpha", QUEUES__alpha__MEMORY_MAX="200")
    node.start()
    node.wait_until_consuming()
    before = node.pids()
    node.configure("alpha", QUEUES__alpha__MEMORY_MAX="600")
    assert "adjusted alpha" in node.run("reload", "magic").stdout
    assert node.produce(TRY, "alpha") == 300 * 1_048_576  # by a pool process that was there before
    assert node.pids() == before


def test_what_nothing_enforces_is_said(node: Node) -> None:
    node.configure("alpha", QUEUES__alpha__CPU_WEIGHT="50")
    node.start()
    node.wait_until_consuming()
    status = node.status()
    assert status["enforcement"]["kill"] == "process group"
    assert status["queues"][0]["unenforced"] == ["CPU_WEIGHT"]
    shown = node.run("status", "magic").stdout
    assert "limits by process, not by cgroup: " in shown
    assert "alpha: nothing enforces CPU_WEIGHT here" in shown
