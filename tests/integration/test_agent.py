"""An agent on a real broker: starts, serves, loses processes and stops."""

import json
import os
import resource
import signal
import socket
from pathlib import Path

import psutil
import pytest

from tests.node import Node, children, is_alive
from tests.rabbitmq import RabbitMQ
from tests.waiting import wait_until

FIVE = ("alpha", "beta", "gamma", "delta", "epsilon")


def test_every_queue_has_one_consumer_and_its_own_worker(node: Node) -> None:
    node.configure(*FIVE)
    node.start()
    node.wait_until_consuming()
    assert {queue: node.broker.consumers(queue, node.vhost) for queue in FIVE} == dict.fromkeys(FIVE, 1)
    assert len(set(node.pids().values())) == 5
    assert [node.send(queue, "return", queue) for queue in FIVE] == list(FIVE)


@pytest.mark.parametrize("pool", ["solo", "threads", "prefork"])
def test_a_killed_worker_is_replaced_and_no_other_queue_notices(node: Node, pool: str) -> None:
    node.configure(*FIVE, DEFAULTS__POOL=pool)
    node.start()
    node.wait_until_consuming()
    before = node.pids()
    os.kill(before["beta"], signal.SIGKILL)
    seen = node.wait_for("beta", lambda queue: queue["consuming"] and queue["pid"] != before["beta"], "is served again")
    assert (seen["restarts"], seen["last_exit"], seen["generation"]) == (1, "killed by SIGKILL", 2)
    assert {**node.pids(), "beta": 0} == {**before, "beta": 0}
    assert node.send("beta", "return", 7) == 7


def test_a_killed_template_is_replaced_and_no_worker_notices(node: Node) -> None:
    node.configure(*FIVE)
    node.start()
    node.wait_until_consuming()
    before, template = node.pids(), node.template()
    os.kill(template, signal.SIGKILL)
    wait_until(lambda: _template_or_none(node) not in (None, template), what="another template")
    assert node.pids() == before
    os.kill(before["alpha"], signal.SIGKILL)
    node.wait_for("alpha", lambda queue: queue["consuming"] and queue["pid"] != before["alpha"], "is served again")


def test_a_killed_pool_child_is_replaced_within_its_worker(node: Node) -> None:
    node.configure("alpha", "beta")
    node.start()
    node.wait_until_consuming()
    before = node.pids()
    child = node.send("alpha", "pid")
    assert child in children(before["alpha"])
    os.kill(child, signal.SIGKILL)
    wait_until(lambda: child not in children(before["alpha"]) and children(before["alpha"]), what="another pool child")
    assert node.send("alpha", "pid") != child
    assert node.pids() == before


def test_a_killed_agent_takes_everything_with_it(node: Node) -> None:
    node.configure("alpha", "beta")
    node.start()
    node.wait_until_consuming()
    assert node.process is not None
    family = [process.pid for process in psutil.Process(node.process.pid).children(recursive=True)]
    assert {*node.pids().values(), node.template(), *children(node.pids()["beta"])} <= set(family)
    node.close()
    wait_until(lambda: not any(map(is_alive, family)), what="the processes are gone")
    node.start()
    node.wait_until_consuming()
    assert node.send("alpha", "return", 1) == 1


def test_a_worker_that_keeps_dying_is_tried_again_and_blocks_nobody(node: Node) -> None:
    node.configure("alpha", "beta", DEFAULTS__POOL="solo")
    node.start()
    node.wait_until_consuming()

    def has_to_wait() -> bool:
        """Kill it once more where it has a process; each pause is longer than the one before."""
        queue = node.queue("alpha")
        if queue["pid"] is not None and is_alive(queue["pid"]):
            os.kill(queue["pid"], signal.SIGKILL)
        return (queue["retry_in"] or 0.0) > 3.0

    wait_until(has_to_wait, 60, "alpha is left alone for a while")
    assert node.run("status", "magic", "--strict").returncode == 1
    assert node.send("beta", "return", 2) == 2
    node.wait_for("alpha", lambda queue: queue["consuming"], "is served again")


@pytest.mark.parametrize("pool", ["solo", "threads"])
def test_an_idle_agent_stops_with_nothing_left_to_kill(node: Node, pool: str) -> None:
    node.configure(*FIVE, DEFAULTS__POOL=pool)
    node.start()
    node.wait_until_consuming()
    node.wait_for(FIVE[-1], lambda queue: queue["waiting"] is not None, "is watched, too")
    assert node.stop() == 0
    assert node.run("status", "magic").returncode == 3
    log = node.log.read_text()
    assert (log.count("how=warm"), log.count("how=")) == (len(FIVE) + 2,) * 2  # each worker, the watcher, and the agent


def test_a_running_task_is_shown_and_finished_before_the_agent_ends(node: Node) -> None:
    node.configure("alpha", DEFAULTS__POOL="solo")
    node.start()
    node.wait_until_consuming()
    node.send_and_leave("alpha", "wait for a file", str(node.code / "go"))
    seen = node.wait_for("alpha", lambda queue: queue["active_count"] == 1, "runs the task")
    assert seen["active"][0]["name"] == "alpha"
    node.signal(signal.SIGTERM)
    wait_until(lambda: "how=warm" in node.log.read_text(), what="the agent stops")
    assert node.run("status", "magic", "--strict").returncode == 1
    assert "warn  running   stopping, 1 queue left" in node.run("check", "magic").stdout
    (node.code / "go").touch()
    assert node.process is not None
    assert node.process.wait(60) == 0
    assert " succeeded in " in node.log.read_text()
    queue = node.broker.queue("alpha", node.vhost)
    assert queue is not None
    assert queue.messages == 0


def test_an_agent_that_reads_its_configuration_is_not_called_well(node: Node) -> None:
    node.configure("alpha")
    (node.code / "greek.py").write_text(
        f"import os, time\nwhile not os.path.exists({str(node.code / 'go')!r}):\n    time.sleep(0.1)\n"
    )
    node.start()
    wait_until(lambda: node.status()["state"] == "starting", what="the agent answers")
    assert node.run("status", "magic", "--strict").returncode == 1
    node.stop()


def test_counts_of_done_and_failed_tasks(node: Node) -> None:
    node.configure("alpha")
    node.start()
    node.wait_until_consuming()
    node.send("alpha", "return", 1)
    node.send("alpha", "return", 2)
    node.produce(
        "result = worker.delay('fail', 'no')\nresult.get(timeout=30, propagate=False)\nprint(json.dumps(result.status))",
        "alpha",
    )
    seen = node.wait_for("alpha", lambda queue: queue["succeeded"] + queue["failed"] == 3, "has counted")
    assert (seen["succeeded"], seen["failed"], seen["active_count"]) == (2, 1, 0)


def test_a_broker_that_is_away_is_waited_for(node: Node, broker: RabbitMQ) -> None:
    node.configure("alpha", "beta")
    broker.stop()
    try:
        node.start()
        node.wait_for("alpha", lambda queue: queue["state"] == "connecting", "waits")
        assert "waiting for broker" in node.run("status", "magic").stdout
        assert node.run("status", "magic").returncode == 0
        pids = node.pids()
    finally:
        broker.start()
    node.wait_until_consuming()
    assert node.pids() == pids
    assert node.send("alpha", "return", 3) == 3


def test_a_broker_that_goes_away_and_comes_back_finds_the_same_workers(node: Node, broker: RabbitMQ) -> None:
    node.configure("alpha", "beta")
    node.start()
    node.wait_until_consuming()
    pids = node.pids()
    broker.settle()
    broker.kill()
    try:
        node.wait_for("alpha", lambda queue: queue["state"] == "connecting", "has noticed")
    finally:
        broker.start()
    node.wait_until_consuming()
    assert node.pids() == pids


def test_systemd_is_told_when_the_queues_are_consumed_and_when_the_agent_goes(node: Node, tmp_path: Path) -> None:
    node.configure("alpha", "beta")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind(str(tmp_path / "notify"))
        systemd.settimeout(60)
        node.start(NOTIFY_SOCKET=str(tmp_path / "notify"), WATCHDOG_USEC="2000000")
        told = _until(systemd, "READY=1")
        assert node.broker.consumers("alpha", node.vhost) == node.broker.consumers("beta", node.vhost) == 1
        assert "STATUS=consuming from 2 queues" in told
        assert "WATCHDOG=1" in told
        node.signal(signal.SIGTERM)
        _until(systemd, "STOPPING=1")
        assert any(
            line.startswith("EXTEND_TIMEOUT_USEC=") for line in _until(systemd, "STATUS=stopping, 0 queues left")
        )


def test_user_code_that_writes_into_its_workers_report_does_not_end_the_agent(node: Node) -> None:
    node.configure("alpha", "beta", DEFAULTS__POOL="solo")
    node.start()
    node.wait_until_consuming()
    before = node.pids()
    node.send("alpha", "scribble")
    wait_until(lambda: "report-not-understood queue=alpha" in node.log.read_text(), what="it was heard and is logged")
    assert node.send("alpha", "return", 4) == 4
    assert node.pids() == before


def test_an_agent_that_is_out_of_descriptors_keeps_what_runs_and_goes_on_when_there_are_some(node: Node) -> None:
    node.configure("alpha", "beta", DEFAULTS__POOL="solo")
    node.start()
    node.wait_until_consuming()
    before, agent = node.pids(), node.status()["pid"]
    enough = resource.prlimit(agent, resource.RLIMIT_NOFILE)
    resource.prlimit(agent, resource.RLIMIT_NOFILE, (3, enough[1]))
    try:
        os.kill(before["alpha"], signal.SIGKILL)
        wait_until(lambda: "fork-failed queue=alpha" in node.log.read_text(), what="no descriptors for another worker")
        node.signal(signal.SIGHUP)
        wait_until(lambda: "reload-refused" in node.log.read_text(), what="no descriptors for a planner")
    finally:
        resource.prlimit(agent, resource.RLIMIT_NOFILE, enough)
    node.wait_for("alpha", lambda queue: queue["consuming"], "is served again")
    assert node.pids()["beta"] == before["beta"]
    assert node.status()["pid"] == agent


def test_a_stopped_agent_is_reported_as_hung_and_not_as_gone(node: Node) -> None:
    node.configure("alpha")
    node.start()
    node.wait_until_consuming()
    node.signal(signal.SIGSTOP)
    done = node.run("status", "magic")
    node.signal(signal.SIGCONT)
    assert done.returncode == 1
    assert "stopped or hung" in done.stderr


def test_an_agent_that_hangs_does_not_hide_the_others(node: Node) -> None:
    node.configure("alpha")
    node.start()
    node.wait_until_consuming()
    (node.config / "zeta.env").touch()
    node.signal(signal.SIGSTOP)
    done = node.run("status", "--json")
    node.signal(signal.SIGCONT)
    states = {each["instance"]: each["state"] for each in json.loads(done.stdout)["instances"]}
    assert states == {"magic": "no answer", "zeta": "not running"}
    assert done.returncode == 1


def test_the_same_instance_runs_only_once(node: Node) -> None:
    node.configure("alpha")
    node.start()
    node.wait_until_consuming()
    done = node.run("run", "magic")
    assert done.returncode == 1
    assert done.stderr.startswith("agent: instance magic is running already")
    assert node.status()["state"] == "running"


def test_exit_statuses_of_status(node: Node) -> None:
    assert node.run("status").returncode == 4
    assert node.run("status", "nobody").returncode == 4
    node.configure("alpha")
    assert node.run("status", "magic").returncode == 3
    assert node.run("status", "magic", "--wait", "0.2").returncode == 3


def _template_or_none(node: Node) -> int | None:
    try:
        return node.template()
    except StopIteration:
        return None


def _until(systemd: socket.socket, line: str) -> list[str]:
    """Return all lines that the agent sent up to this one."""
    told: list[str] = []
    while line not in told:
        told += systemd.recv(4096).decode().splitlines()
    return told
