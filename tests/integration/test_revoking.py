"""Tasks that are revoked are not run, on any node and after any restart, and their callers are told."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

import amqp
import pytest

from agent.cli.main import main
from agent.errors import FAILURE, OK
from celery_delivery.topology.revocations import NAME
from tests.integration.conftest import Configure
from tests.integration.strict import declared
from tests.node import Node
from tests.projects import Project
from tests.waiting import wait_until

END = """
import time
from celery.exceptions import TaskRevokedError

def end(result):
    try:
        return result.get(timeout=60)
    except TaskRevokedError as error:
        return f"revoked: {error}"
"""


ADD = """
@app.task
def add(x, y):
    return x + y
"""


@pytest.fixture
def alpha(node: Node) -> Node:
    """An instance that runs one task of alpha at a time, and is not started."""
    node.configure("alpha", DEFAULTS__CONCURRENCY="1")
    return node


def start(node: Node) -> None:
    node.start()
    node.wait_until_consuming()


@pytest.mark.rabbitmq_4
def test_workers_that_are_the_first_of_a_virtual_host_make_the_stream_one_after_the_other(node: Node) -> None:
    """RabbitMQ cuts off who asks for a stream that is not whole yet."""
    node.configure("alpha", "beta", "gamma", "delta", DEFAULTS__POOL="solo")
    start(node)
    assert "Connection to broker lost" not in node.log.read_text()


@pytest.mark.rabbitmq_4
@pytest.mark.parametrize(("pool", "prefetch"), [("prefork", "3"), ("threads", "3"), ("solo", "1")])
def test_a_task_that_waits_is_not_run(node: Node, pool: str, prefetch: str) -> None:
    """Of those that wait in the worker, and in the queue; one revoked with `terminate` is not run either."""
    node.configure("alpha", DEFAULTS__POOL=pool, DEFAULTS__CONCURRENCY="1", DEFAULTS__PREFETCH=prefetch)
    start(node)
    go = node.code / "go"
    code = f"""{END}
first = worker.delay("wait for a file", {str(go)!r})
results = [worker.delay("return", number) for number in range(5)]
results[0].revoke()
worker.app.control.revoke([results[1].id, results[3].id])
results[4].revoke(terminate=True)
time.sleep(1)  # until the worker has heard: what it has fetched is begun at once
open({str(go)!r}, "w").close()
print(json.dumps([end(each) for each in (first, *results)]))"""
    revoked = "revoked: revoked"
    assert node.produce(code, "alpha") == [str(go), revoked, revoked, 2, revoked, revoked]
    assert node.broker.messages("alpha.dead", node.vhost) == 0


def test_nobody_need_run_when_a_task_is_revoked(alpha: Node) -> None:
    """The broker keeps it for whoever comes to the task, whatever else is in the stream; one that waits for its time, too."""
    alpha.produce("worker.app.control.revoke('none'); print(1)", "alpha")
    publish(
        alpha, "no revocation", '{"ids": [7], "signal": null}', "[" * 100_000, '{"ids": ["x"], "signal": "SIGSTOP"}'
    )
    code = f"""{END}
results = [worker.delay("return", 1), worker.apply_async(("return", 2), countdown=2), worker.delay("return", 3)]
for each in results[:2]:
    each.revoke()
print(len(results), flush=True)
input()
print(json.dumps([end(each) for each in results]))"""
    with alpha.producing(code, "alpha") as producer:
        assert producer.stdout is not None
        assert producer.stdout.readline() == "3\n"
        start(alpha)
        out, errors = producer.communicate("\n", timeout=120)
    assert out == '["revoked: revoked", "revoked: revoked", 3]\n', errors
    assert alpha.log.read_text().count("left aside where it is no revocation") == 1


@pytest.mark.rabbitmq_4
def test_a_process_ends_whose_task_is_revoked_and_terminated(alpha: Node) -> None:
    start(alpha)
    code = (
        f"{END}\nfirst, second = worker.delay('sleep', 600), worker.delay('return', 2)\nprint(end(first), end(second))"
    )
    with alpha.producing(code, "alpha") as producer:
        (task,) = running(alpha)
        done = alpha.run("revoke", task["id"], "--terminate")
        out, errors = producer.communicate(timeout=120)
    assert out == "revoked: terminated 2\n", errors
    assert done.returncode == OK, done.stderr
    assert done.stdout.startswith("magic: 1 task revoked: the broker has it")
    queue = alpha.wait_for("alpha", lambda queue: queue["active_count"] == 0, "has ended")
    assert queue["restarts"] == 0
    assert alpha.broker.messages("alpha", alpha.vhost) == alpha.broker.messages("alpha.dead", alpha.vhost) == 0


def test_a_worker_that_is_killed_after_a_revocation_is_followed_by_one_that_knows(alpha: Node) -> None:
    """What ran comes again, and is not run again; the caller is told once."""
    start(alpha)
    with alpha.producing(f"{END}\nprint(end(worker.delay('sleep', 600)))", "alpha") as producer:
        (task,) = running(alpha)
        assert alpha.run("revoke", task["id"], "magic").returncode == OK
        os.kill(alpha.pids()["alpha"], signal.SIGKILL)
        out, errors = producer.communicate(timeout=120)
    assert out == "revoked: revoked\n", errors


def test_a_thread_goes_on_and_the_log_and_the_command_say_so(node: Node) -> None:
    node.configure("alpha", DEFAULTS__POOL="threads")
    start(node)
    go = node.code / "go"
    with node.producing(f"print(worker.delay('wait for a file', {str(go)!r}).get(timeout=60))", "alpha") as producer:
        (task,) = running(node)
        done = node.run("revoke", task["id"], "--terminate")
        wait_until(lambda: "goes on: threads and solo end no function" in node.log.read_text(), 60, "it says so")
        go.touch()
        out, errors = producer.communicate(timeout=120)
    assert out == f"{go}\n", errors
    assert (
        "agent: What runs goes on in alpha, unless it is a coroutine on threads: threads and solo end no" in done.stderr
    )


COROUTINE = """
import asyncio, os
import celery

class Alpha(celery.Task):
    name = "alpha"

    async def run(self, action, value):
        try:
            await asyncio.sleep(600 if action == "sleep" else 0)
        except asyncio.CancelledError:
            os.makedirs(value)
            if value.endswith("caught"):
                return "caught"
            raise
        return value
"""


@pytest.mark.celery
def test_a_coroutine_on_threads_ends_where_it_waits_and_the_others_go_on(node: Node, tmp_path: Path) -> None:
    (node.code / "patient.py").write_text(COROUTINE)
    node.configure(TASKS="patient:Alpha", DEFAULTS__POOL="threads", DEFAULTS__CONCURRENCY="4")
    start(node)
    cleaned, caught = tmp_path / "cleaned", tmp_path / "caught"
    code = (
        f"{END}\nfirst, second = worker.delay('sleep', {str(cleaned)!r}), worker.delay('sleep', {str(caught)!r})\n"
        "third = worker.delay('return', 3)\nprint(third.get(timeout=60), first.id, second.id, flush=True)\n"
        "print(end(first), end(second), end(worker.delay('return', 4)))"
    )
    with node.producing(code, "alpha") as producer:
        wait_until(lambda: len(running(node)) == 2, 60, "both run")
        assert producer.stdout is not None
        _, *ids = producer.stdout.readline().split()
        done = node.run("revoke", *ids, "magic", "--terminate")
        out, errors = producer.communicate(timeout=120)
    assert out == "revoked: terminated caught 4\n", errors
    assert done.returncode == OK, done.stderr
    assert cleaned.exists()
    queue = node.wait_for("alpha", lambda queue: queue["active_count"] == 0, "has ended")
    assert queue["restarts"] == 0
    assert node.broker.messages("alpha", node.vhost) == node.broker.messages("alpha.dead", node.vhost) == 0
    assert "coroutine is cancelled" in node.log.read_text()


def test_a_stream_that_was_deleted_is_made_and_read_again(alpha: Node) -> None:
    start(alpha)
    with alpha.broker.connect(alpha.vhost) as connection:
        connection.channel().queue_delete(NAME)
    wait_until(lambda: alpha.broker.queue(NAME, alpha.vhost) is not None, 60, "a worker has made it")
    with alpha.producing(f"{END}\nprint(end(worker.delay('sleep', 600)))", "alpha") as producer:
        (task,) = running(alpha)
        alpha.run("revoke", task["id"], "--signal", "SIGKILL")
        out, errors = producer.communicate(timeout=120)
    assert out == "revoked: terminated\n", errors


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("magic",), "agent: magic is an instance: name the ids of tasks before it."),
        (("an id", "x" * 256), "is no id of a task, which is a text of 1 to 255 characters"),
        (("an id", "--user", "somebody"), "agent: --user and --password-file go together"),
    ],
)
def test_what_can_t_be_revoked_is_one_line(
    configure: Configure, capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], said: str
) -> None:
    configure()
    assert main(["revoke", *arguments]) == FAILURE
    printed = capsys.readouterr()
    (line,) = printed.err.splitlines()
    assert said in line
    assert printed.out == ""


def test_an_app_s_workers_are_asked_by_remote_control_and_nobody_s_answer_is_a_failure(project: Project) -> None:
    (project.code / "proj.py").write_text(f"from celery import Celery\napp = Celery(broker={project.url!r})\n{ADD}")
    project.configure()
    assert "no worker has answered" in project.run("revoke", "an id").stderr
    start(project)
    done = project.run("revoke", "an id", "--terminate")
    assert done.stdout == "magic: 1 task revoked: heard by the workers that run, 1; those that start later ask them\n"


def running(node: Node) -> list[dict[str, Any]]:
    """Return what alpha runs, once that is something."""
    return list(node.wait_for("alpha", lambda queue: queue["active_count"] > 0, "runs a task")["active"])


def consumers(node: Node) -> int:
    """Return how many there are in the virtual host; RabbitMQ lists those of a stream by their channels alone."""
    listed = node.broker.control("list_channels", "--no-table-headers", "vhost", "consumer_count")
    return sum(int(count) for vhost, count in map(str.split, listed.splitlines()) if vhost == node.vhost)


def publish(node: Node, *bodies: str) -> None:
    """Send what somebody may send who has the right to revoke."""
    with node.broker.connect(node.vhost) as connection:
        for each in bodies:
            connection.channel().basic_publish(amqp.Message(each), exchange=NAME, routing_key=NAME)


def test_where_the_stream_may_not_be_read_tasks_are_run_until_it_may(node: Node, tmp_path: Path) -> None:
    with declared(node, tmp_path, "off") as strict:
        definitions = strict.definitions()
        (rights,) = [each for each in definitions["permissions"] if each["user"] == strict.users["node"]]
        own = {**rights, "read": "^(alpha|beta)$"}
        strict.declare({**definitions, "permissions": [own]})
        start(node)
        node.send_and_leave("alpha", "return", 1)
        node.wait_for("alpha", lambda queue: queue["succeeded"] == 1, "has run a task")
        assert node.log.read_text().count("Revoked tasks may be run until celery-tasks.revoked can be read: ") == 2
        strict.declare(definitions)
        wait_until(lambda: consumers(node) == 4, 60, "both workers read the stream, too")
