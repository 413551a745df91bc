"""The processes of a prefork pool, and how long they may take to get ready."""

from __future__ import annotations

import os
import signal

import pytest

from tests.node import TASKS, Node, children
from tests.waiting import wait_until

SLOW = """
from celery.signals import worker_process_init

@worker_process_init.connect
def prepare(**_):
    time.sleep(5)  # Celery's own patience is 4 s
"""
STUCK = """
from celery.signals import worker_process_init

@worker_process_init.connect
def prepare(**_):
    while os.path.exists(os.path.join(os.path.dirname(__file__), "stuck")):
        time.sleep(0.1)
"""


def run(node: Node, code: str, **settings: str) -> None:
    (node.code / "greek.py").write_text(TASKS + code)
    node.configure("alpha", DEFAULTS__POOL="prefork", DEFAULTS__MAX_TASKS_PER_CHILD="1", **settings)
    node.start()
    node.wait_until_consuming()


def test_a_child_that_takes_long_to_get_ready_is_waited_for(node: Node) -> None:
    run(node, SLOW)
    assert [node.send("alpha", "return", number) for number in range(2)] == [0, 1]
    assert "Timed out waiting for UP" not in node.log.read_text()


def test_a_child_that_gets_ready_too_late_is_replaced(node: Node) -> None:
    run(node, STUCK, DEFAULTS__START_TIMEOUT="5")
    (node.code / "stuck").touch()
    node.send("alpha", "return")
    wait_until(lambda: node.log.read_text().count("Timed out waiting for UP") >= 2, 60, "two children were replaced")
    (node.code / "stuck").unlink()
    assert node.send("alpha", "return", 7) == 7


@pytest.mark.parametrize("patience", ["5", "60"], ids=["children are replaced", "a child hangs"])
def test_a_pool_without_a_child_that_is_ready_is_told_of(node: Node, patience: str) -> None:
    run(node, STUCK, DEFAULTS__START_TIMEOUT=patience)
    (node.code / "stuck").touch()
    node.send("alpha", "return")
    seen = node.wait_for("alpha", lambda queue: not queue["consuming"], "has no child")
    assert (seen["state"], seen["obstacle"][:15]) == ("consuming", "no process of i")
    strict = node.run("status", node.instance, "--strict")
    assert strict.returncode == 1
    assert "no process of its pool gets ready" in strict.stdout
    assert "warn  running   alpha runs nothing: no process of its pool" in node.run("check", node.instance).stdout
    assert node.log.read_text().count("No tasks are run: no process of its pool gets ready") == 1
    (node.code / "stuck").unlink()
    assert node.send("alpha", "return", 7) == 7
    node.wait_for("alpha", lambda queue: queue["consuming"], "has a child again")
    assert "ok    running   consuming from 1 queue" in node.run("check", node.instance).stdout


@pytest.mark.parametrize("how", [signal.SIGCONT, signal.SIGKILL])
def test_a_child_that_does_not_take_its_task_is_told_of(node: Node, how: signal.Signals) -> None:
    node.configure("alpha", DEFAULTS__POOL="prefork", DEFAULTS__CONCURRENCY="1")
    node.start()
    node.wait_until_consuming()
    (child,) = wait_until(lambda: children(node.pids()["alpha"]), what="the pool has its child")
    os.kill(child, signal.SIGSTOP)
    node.send_and_leave("alpha", "return", 1)
    seen = node.wait_for("alpha", lambda queue: not queue["consuming"], "has a child that does nothing")
    assert (seen["state"], seen["obstacle"][:32]) == ("consuming", "its pool has a place for a task,")
    assert node.run("status", node.instance, "--strict").returncode == 1
    os.kill(child, how)
    node.wait_for("alpha", lambda queue: queue["consuming"] and queue["succeeded"] == 1, "runs its tasks again")
