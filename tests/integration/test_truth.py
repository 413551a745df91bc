"""The fixtures' own question to each instance, whether its status is so, put to instances of which it is not."""

from __future__ import annotations

import os
import signal

import pytest

from tests import truth
from tests.node import Node, children
from tests.truth import assert_true
from tests.waiting import wait_until


@pytest.fixture(autouse=True)
def _impatience(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(truth, "PATIENCE", 2.0)


def test_a_consumer_that_the_broker_does_not_know_is_a_lie(node: Node) -> None:
    node.configure("alpha")
    node.start()
    node.wait_until_consuming()
    node.broker.add_vhost(f"{node.vhost}-other")
    node.vhost += "-other"
    with pytest.raises(AssertionError, match="alpha is consumed from, and the broker that it has no consumer"):
        assert_true(node)
    node.broker.delete_vhost(node.vhost)
    node.vhost = node.vhost.removesuffix("-other")


def test_a_task_that_nobody_runs_is_a_lie(node: Node) -> None:
    node.configure("alpha", DEFAULTS__POOL="prefork", DEFAULTS__CONCURRENCY="1")
    node.start()
    node.wait_until_consuming()
    (child,) = wait_until(lambda: children(node.pids()["alpha"]), what="the pool has its child")
    os.kill(child, signal.SIGSTOP)
    with pytest.raises(AssertionError, match="alpha is consumed from, but a task waits, and none is run"):
        assert_true(node)
    os.kill(child, signal.SIGCONT)
