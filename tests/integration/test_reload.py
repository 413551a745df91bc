"""A reload on a real broker: what changed is taken up, what did not is left alone, and a mistake changes nothing."""

import signal
import time

from tests.node import Node, is_alive
from tests.waiting import wait_until


def test_a_reload_touches_only_what_changed(node: Node) -> None:
    node.configure("alpha", "beta", "gamma", DEFAULTS__POOL="solo")
    node.start()
    node.wait_until_consuming()
    before = node.pids()
    node.configure("alpha", "beta", "delta", DEFAULTS__POOL="solo", QUEUES__beta__PREFETCH="4")
    done = node.run("reload", "magic", "--wait")
    assert done.returncode == 0, done.stderr
    assert "added delta; changed beta; removed gamma; 1 unchanged" in done.stdout
    after = node.pids()
    assert after["alpha"] == before["alpha"]
    assert after["beta"] != before["beta"]
    wait_until(lambda: set(node.pids()) == {"alpha", "beta", "delta"}, what="gamma is gone")
    assert node.broker.consumers("gamma", node.vhost) == 0


def test_a_queue_is_never_without_a_consumer_while_its_worker_is_replaced(node: Node) -> None:
    node.configure("alpha", DEFAULTS__POOL="solo")
    node.start()
    node.wait_until_consuming()
    old = node.pids()["alpha"]
    node.configure("alpha", DEFAULTS__POOL="solo", DEFAULTS__PREFETCH="4")
    fewest = 9
    with node.broker.connect(node.vhost) as connection:
        channel = connection.channel()
        node.signal(signal.SIGHUP)
        deadline = time.monotonic() + 60
        while is_alive(old):
            fewest = min(fewest, channel.queue_declare("alpha", passive=True).consumer_count)
            assert time.monotonic() < deadline, "the old worker is still there"
    assert fewest == 1


def test_an_invalid_reload_changes_nothing_and_says_why(node: Node) -> None:
    node.configure("alpha")
    node.start()
    node.wait_until_consuming()
    before = node.pids()
    node.configure("alpha", CONCURENCY="3")
    done = node.run("reload", "magic")
    assert done.returncode == 78
    assert "CELERY_AGENT_CONCURENCY" in done.stderr
    assert node.pids() == before
    assert "CELERY_AGENT_CONCURENCY" in node.status()["reload_error"]
    assert node.run("status", "magic", "--strict").returncode == 1
    node.configure("alpha")
    assert node.run("reload", "magic").returncode == 0
    assert node.status()["reload_error"] is None


def test_variables_of_the_env_file_reach_the_tasks_and_a_reload_renews_them(node: Node) -> None:
    node.configure("alpha")
    text = node.env_file.read_text()
    node.env_file.write_text(text + "GREETING=hello\n")
    node.start(NOTIFY_SOCKET="", WATCHDOG_USEC="60000000")
    node.wait_until_consuming()
    assert node.send("alpha", "environment", "GREETING") == "hello"
    assert node.send("alpha", "environment", "WATCHDOG_USEC") is None
    node.env_file.write_text(text + "GREETING=goodbye\n")
    assert node.run("reload", "magic", "--wait").returncode == 0
    assert node.send("alpha", "environment", "GREETING") == "goodbye"


def test_an_instance_that_does_not_run_cannot_be_reloaded(node: Node) -> None:
    assert node.run("reload").returncode == 3
    assert node.run("reload", "magic").returncode == 4
    node.configure("alpha")
    done = node.run("reload", "magic")
    assert done.returncode == 3
    assert done.stderr == "agent: magic is not running: start it with `systemctl start celery-agent@magic`.\n"
