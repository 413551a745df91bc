"""What the delivery profiles promise, on a real broker: tasks survive what workers do not."""

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from celery_delivery.topology.queues import DELIVERY_LIMIT
from tests.node import EACH_POOL, Node, children, is_alive
from tests.rabbitmq import RabbitMQ
from tests.waiting import wait_until

pytestmark = pytest.mark.celery


def messages(node: Node, queue: str) -> int:
    found = node.broker.queue(queue, node.vhost)
    return 0 if found is None else found.messages


@contextmanager
def impatience(broker: RabbitMQ) -> Iterator[None]:
    """Have the broker close the channels of those who connect now and keep a message for more than a second."""
    settings = "[{{consumer_timeout, {}}}, {{channel_tick_interval, {}}}]"
    change = f"[application:set_env(rabbit, Key, Value) || {{{{Key, Value}}}} <- {settings}]."
    broker.evaluate(change.format(1000, 250))
    try:
        yield
    finally:
        broker.evaluate(change.format(1_800_000, 60_000))


def kill_while_running(node: Node, pool: str) -> None:
    node.start()
    node.wait_until_consuming()
    node.send_and_leave("alpha", "sleep", 4)
    pid = node.wait_for("alpha", lambda queue: queue["active_count"] == 1, "runs the task")["pid"]
    os.kill(pid, signal.SIGKILL)
    node.wait_for("alpha", lambda queue: queue["consuming"] and queue["pid"] != pid, f"is served again ({pool})")


@pytest.mark.parametrize("pool", ["solo", "threads", "prefork"])
def test_a_killed_workers_task_is_run_by_the_next(node: Node, pool: str) -> None:
    node.configure("alpha", DEFAULTS__POOL=pool)
    kill_while_running(node, pool)
    node.wait_for("alpha", lambda queue: queue["succeeded"] == 1, "has run the task again")
    assert messages(node, "alpha") == 0


@pytest.mark.parametrize(("pool", "ends_by"), [("solo", "itself"), ("prefork", "itself"), ("threads", "a kill")])
def test_a_task_that_a_cold_shutdown_ended_is_run_by_the_next(node: Node, pool: str, ends_by: str) -> None:
    node.configure("alpha", DEFAULTS__POOL=pool, DEFAULTS__COLD_TIMEOUT="2" if ends_by == "a kill" else "60")
    node.start()
    node.wait_until_consuming()
    node.send_and_leave("alpha", "sleep", 8 if ends_by == "a kill" else 60)
    pid = node.wait_for("alpha", lambda queue: queue["active_count"] == 1, "runs the task")["pid"]
    node.signal(signal.SIGQUIT)
    assert node.process is not None
    node.process.wait(50)
    stops = [line for line in node.log.read_text().splitlines() if "worker-stop queue=alpha" in line]
    assert stops[-1].endswith("how=kill") == (ends_by == "a kill"), stops
    # A solo task would stand still for as long as it is given to end.
    assert ("Initiating Soft Shutdown" in node.log.read_text()) == (pool != "solo")
    wait_until(lambda: messages(node, "alpha") == 1, what="the broker has the task back")
    node.start()
    seen = node.wait_for("alpha", lambda queue: queue["active_count"] == 1, "runs the task again")
    assert (seen["pid"] != pid, seen["failed"]) == (True, 0)


def test_a_worker_that_lost_the_broker_ends_its_tasks_and_seeks_it_at_once(node: Node) -> None:
    node.configure("alpha")
    node.start()
    node.wait_until_consuming()
    node.send_and_leave("alpha", "sleep", 600)
    pid = node.wait_for("alpha", lambda queue: queue["active_count"] == 1, "runs the task")["pid"]
    (child,) = children(pid)
    node.broker.stop()
    try:
        wait_until(lambda: "Cannot connect to" in node.log.read_text(), what="the worker seeks the broker")
        # Stock Celery first tells the result backend, for 10 s, by way of the broker that is away.
        assert "Failed to cancel active request" not in node.log.read_text()
        wait_until(lambda: not is_alive(child), what="the task has ended")
    finally:
        node.broker.start()
    node.wait_for("alpha", lambda queue: queue["active_count"] == 1, "runs the task again")


def test_the_articles_settings_lose_a_killed_workers_task(node: Node) -> None:
    node.variables["CELERY_TASKS_DELIVERY"] = "article"
    node.configure("alpha")
    kill_while_running(node, "prefork")
    assert node.send("alpha", "return", 1) == 1
    seen = node.wait_for("alpha", lambda queue: queue["succeeded"] > 0, "has counted")
    assert (seen["succeeded"], seen["active_count"], messages(node, "alpha")) == (1, 0, 0)


@pytest.mark.parametrize("kind", ["worker", "producer"])
def test_both_sides_declare_the_dead_letter_queue_first(node: Node, kind: str) -> None:
    node.configure("alpha")
    if kind == "worker":
        node.start()
        node.wait_until_consuming()
    else:
        node.send_and_leave("alpha", "return", 1)
    assert node.broker.queue("alpha.dead", node.vhost) is not None


def test_an_unknown_profile_is_refused_with_its_place(node: Node) -> None:
    node.variables["CELERY_TASKS_DELIVERY"] = "save"
    node.configure("alpha")
    done = node.run("check", "magic")
    assert done.returncode == 78
    assert "CELERY_TASKS_DELIVERY is 'save', but must be one of: safe, article" in done.stdout


def test_a_task_of_many_heartbeats_is_not_cut_off_on_any_pool(node: Node) -> None:
    node.broker.evaluate("application:set_env(rabbit, heartbeat, 1).")  # seconds; the lower one counts
    try:
        node.configure_pools(EACH_POOL)
        node.start()
        node.wait_until_consuming()
    finally:
        node.broker.evaluate("application:set_env(rabbit, heartbeat, 60).")
    results = node.produce_at_once("print(worker.delay('sleep', 6).get(timeout=60))", EACH_POOL)
    assert results == dict.fromkeys(EACH_POOL, 6)
    assert {queue: node.send(queue, "return", 1) for queue in EACH_POOL} == dict.fromkeys(EACH_POOL, 1)
    assert {queue: node.queue(queue)["succeeded"] for queue in EACH_POOL} == dict.fromkeys(EACH_POOL, 2)
    assert "Connection to broker lost" not in node.log.read_text()


def test_a_task_killed_by_its_time_limit_is_not_gone_but_a_dead_letter_in_the_end(node: Node) -> None:
    node.configure("alpha", DEFAULTS__TIME_LIMIT="1")
    node.start()
    node.wait_until_consuming()
    node.send_and_leave("alpha", "sleep", 60)
    wait_until(lambda: messages(node, "alpha.dead") == 1, 90, "the task is a dead letter")
    assert node.send("alpha", "return", 1) == 1
    # So often was it run: each is a line of the log. It is not run when it comes for the last time.
    assert node.log.read_text().count("Hard time limit (1.0s) exceeded") == DELIVERY_LIMIT


@pytest.mark.parametrize("pool", ["solo", "threads", "prefork"])
def test_a_worker_whose_task_outlasts_the_brokers_patience_goes_on(node: Node, pool: str) -> None:
    node.configure("alpha", DEFAULTS__POOL=pool)
    with impatience(node.broker):
        node.start()
        node.wait_until_consuming()
        pid = node.pids()["alpha"]
        node.send_and_leave("alpha", "sleep", 3)
        wait_until(lambda: "PRECONDITION_FAILED" in node.log.read_text(), 60, "the broker has closed the channel")
        if pool == "prefork":  # its process is ended, and its task delivered again, each time
            wait_until(lambda: messages(node, "alpha.dead") == 1, 120, "the task is a dead letter")
        wait_until(lambda: messages(node, "alpha") == 0, 120, "the task has left its queue")
    assert messages(node, "alpha.dead") == (pool == "prefork")
    assert node.send("alpha", "return", 1) == 1
    assert node.pids()["alpha"] == pid


def test_a_link_that_is_frozen_is_noticed(node: Node, broker: RabbitMQ) -> None:
    node.configure("alpha")
    node.start()
    node.wait_until_consuming()
    broker.freeze()
    try:
        node.wait_for("alpha", lambda queue: queue["state"] == "connecting", "has noticed")
    finally:
        broker.thaw()
    node.wait_until_consuming()
    assert node.send("alpha", "return", 1) == 1


def test_a_stop_has_its_end_even_where_the_broker_does_not_answer_on_any_pool(node: Node, broker: RabbitMQ) -> None:
    node.configure_pools(EACH_POOL, DEFAULTS__WARM_TIMEOUT="3", DEFAULTS__COLD_TIMEOUT="2")
    node.start()
    node.wait_until_consuming()
    for queue in EACH_POOL:
        node.send_and_leave(queue, "sleep", 300)
        node.wait_for(queue, lambda said: said["active_count"] == 1, "runs the task")
    broker.freeze()
    try:
        node.stop(timeout=30)  # a stock worker takes a minute and more
    finally:
        broker.thaw()
    for queue in EACH_POOL:
        wait_until(lambda queue=queue: messages(node, queue) == 1, 60, f"the task of {queue} is back")  # type: ignore[misc]
