"""What an agent's watcher sees of queues and brokers, and that the workers do without it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest

from agent.guest.spec import watcher_of
from tests import administration
from tests.certificates import EXPIRED, Authority, Identity
from tests.node import Node, children, name_of
from tests.ports import number, reserve
from tests.projects import Project
from tests.rabbitmq import RabbitMQ
from tests.redis import Redis
from tests.waiting import wait_until

ADDRESS = "IP:127.0.0.1"
WAITING = """
import os, time
from celery import Celery

app = Celery("proj", broker=os.environ["BROKER"])
app.conf.task_default_queue = os.environ["QUEUE"]

@app.task
def wait(path):
    while not os.path.exists(path):
        time.sleep(0.05)
"""


def watcher(node: Node) -> int:
    """Return the pid of the watcher, 0 where there is none."""
    assert node.process is not None
    name = watcher_of(node.instance)[:15]
    return next((pid for pid in children(node.process.pid) if name_of(pid) == name), 0)


def wait_until_watched(node: Node) -> int:
    """Return the pid of the watcher once it works."""
    wait_until(lambda: node.status()["watcher"] == "", 60, f"the watcher works, see {node.log}")
    return watcher(node)


def wait_for(node: Node, queue: str, what: str, **fields: Any) -> dict[str, Any]:
    return node.wait_for(queue, lambda seen: all(seen[name] == value for name, value in fields.items()), what)


def test_what_waits_and_who_consumes_is_seen(alpha: Node) -> None:
    alpha.configure("alpha", "beta", DEFAULTS__POOL="solo", DEFAULTS__PREFETCH="1")
    alpha.start()
    alpha.wait_until_consuming()
    wait_for(alpha, "alpha", "has its consumer", consumers=1, waiting=0, unseen="")
    gate = alpha.code / "gate"
    alpha.produce(f"[worker.delay('wait for a file', {str(gate)!r}) for _ in range(10)]; print('null')", "alpha")
    seen = wait_for(alpha, "alpha", "has 9 that wait", waiting=9)
    assert (seen["active_count"], seen["consumers"]) == (1, 1)
    aged = alpha.wait_for("alpha", lambda found: (found["oldest"] or 0) > 1, "has an age")
    assert aged["rate_out"] is None or aged["rate_out"] == 0
    gate.touch()
    done = alpha.wait_for("alpha", lambda found: found["waiting"] == 0 and bool(found["rate_out"]), "is empty")
    assert (done["oldest"], done["succeeded"]) == (None, 10)
    assert "WAITING" in alpha.run("status", "magic").stdout


def started_as_its_own_user(node: Node, broker: RabbitMQ, request: pytest.FixtureRequest, password: str) -> str:
    """Start a node that has a user of its own, with all rights; return its name."""
    user = f"user{os.getpid()}"
    administration.add_user(broker, user, password)
    request.addfinalizer(lambda: administration.delete_user(broker, user))
    administration.set_permissions(broker, node.vhost, user, ".*", ".*", ".*")
    node.variables |= {"RABBITMQ_USER": user, "RABBITMQ_PWD": password}
    node.configure("alpha", DEFAULTS__POOL="solo")
    node.start()
    node.wait_until_consuming()
    return user


def test_a_broker_that_is_away_is_told_from_one_that_refuses_the_password(
    node: Node, broker: RabbitMQ, request: pytest.FixtureRequest
) -> None:
    user = started_as_its_own_user(node, broker, request, "before")
    before = wait_until_watched(node)
    administration.change_password(broker, user, "after")
    administration.close_all_connections(broker, node.vhost)
    seen = node.wait_for("alpha", lambda found: bool(found["unseen"]), "can't be asked about")
    assert (seen["waiting"], seen["consumers"], seen["oldest"]) == (None, None, None)
    assert seen["unseen"] == "the broker refuses the login"
    wait_until(lambda: "reason=credentials" in node.log.read_text(), 30, "the log names the password")
    request.addfinalizer(lambda: None if broker.is_running else broker.start())
    broker.stop()
    wait_until(lambda: "reason=away" in node.log.read_text(), 30, "the log says that the broker is away")
    other = "health queue=alpha health=broker_down was=broker_down cause=\"the broker can't be reached"
    wait_until(lambda: other in node.log.read_text(), 30, "so it does of the queue")
    broker.start()
    administration.change_password(broker, user, "before")
    wait_for(node, "alpha", "is seen again", waiting=0, consumers=1, unseen="")
    attempts = [
        line for line in node.log.read_text().splitlines() if "Cannot connect to" in line and "refused." in line
    ]
    assert len(attempts) <= 2  # and not one every 2 s
    said = [line for line in node.log.read_text().splitlines() if " broker-" in line]
    changes = [line.partition(" broker-")[2].partition("broker=")[0].strip() for line in said]
    assert (changes[0], changes[-1]) == ("reached", "reached")
    assert 4 <= len(changes) <= 6  # on its way up a broker may refuse in one more way
    assert watcher(node) == before
    assert "Traceback" not in node.log.read_text()


def test_a_virtual_host_that_is_taken_away_is_told(
    node: Node, broker: RabbitMQ, request: pytest.FixtureRequest
) -> None:
    user = started_as_its_own_user(node, broker, request, "its own")
    wait_until_watched(node)
    administration.clear_permissions(broker, node.vhost, user)
    administration.close_all_connections(broker, node.vhost)
    wait_until(lambda: [each["reason"] for each in node.status()["brokers"]] == ["rights"], 60, "the watcher says so")
    seen = wait_for(node, "alpha", "is refused", health="broker_down")
    assert seen["cause"].startswith("the broker refuses the virtual host: ")
    assert seen["cause"].count("refuses") == 1
    administration.set_permissions(broker, node.vhost, user, ".*", ".*", ".*")
    wait_for(node, "alpha", "is seen again", waiting=0, consumers=1, unseen="")


def test_a_certificate_that_has_run_out_is_told_by_the_worker_and_then_by_the_watcher(
    node: Node, tmp_path: Path
) -> None:
    authority, port = Authority(tmp_path / "authority"), node.variables["RABBITMQ_PORT"]
    good, old = authority.identity(ADDRESS), authority.identity(ADDRESS, days=EXPIRED)
    with reserve() as kept, ExitStack() as stack:
        node.variables |= {
            "RABBITMQ_PORT": str(number(kept)),
            "RABBITMQ_TLS": "1",
            "RABBITMQ_CA_FILE": str(authority.certificate),
        }
        node.configure("alpha", DEFAULTS__POOL="solo")
        time.sleep(1.5)  # the old one is good for the second in which it was made
        with led(number(kept), f"127.0.0.1:{port}", old):
            node.start()
            seen = wait_for(node, "alpha", "can't connect", health="broker_down")
            assert seen["cause"].startswith("the TLS connection to the broker fails: ")
            assert node.status()["watcher"] == "the watcher is started once the workers are"
            wait_until(lambda: "reason=certificate" in node.log.read_text(), 60, "the watcher says so")
        stack.enter_context(led(number(kept), f"127.0.0.1:{port}", good))
        node.wait_until_consuming()
        assert wait_for(node, "alpha", "is well", health="idle")["obstacle"] is None
        assert node.stop() == 0


def test_of_a_list_of_brokers_the_one_that_is_away_is_named(node: Node) -> None:
    with reserve() as kept:
        node.variables["RABBITMQ_HOST"] = f"127.0.0.1:{number(kept)},127.0.0.1:{node.variables['RABBITMQ_PORT']}"
        node.configure("alpha", DEFAULTS__POOL="solo")
        node.start()
        node.wait_until_consuming()
        wait_until(lambda: [each["reason"] for each in node.status()["brokers"]] == ["away", ""], 60, "both are tried")
        said = node.run("status", "magic").stdout
        assert f"not reached: rabbitmq://guest:**@127.0.0.1:{number(kept)}/" in said
        assert wait_for(node, "alpha", "is well", health="idle", unseen="")["consumers"] == 1


@contextmanager
def led(port: int, target: str, identity: Identity) -> Iterator[None]:
    """Have TLS connections to a port end there, and lead them on to the target."""
    command = [sys.executable, "-m", "tests.forward", f"127.0.0.1:{port}", target]
    files = [str(identity.certificate), str(identity.key)]
    with subprocess.Popen([*command, *files], stdout=subprocess.PIPE) as forward:
        try:
            assert forward.stdout is not None
            assert forward.stdout.readline() == b"ready\n"
            yield
        finally:
            forward.kill()


def test_a_queue_that_is_gone_is_said_to_be(node: Node) -> None:
    node.configure("alpha", "beta", DEFAULTS__POOL="solo")
    node.start()
    node.wait_until_consuming()
    wait_until_watched(node)
    os.kill(node.pids()["alpha"], signal.SIGSTOP)
    node.broker.control("delete_queue", "-p", node.vhost, "alpha")
    seen = node.wait_for("alpha", lambda found: bool(found["unseen"]), "is gone")
    assert "there is no such queue on the broker" in seen["unseen"]
    assert wait_for(node, "beta", "is there", consumers=1)["unseen"] == ""
    os.kill(node.pids()["alpha"], signal.SIGKILL)
    wait_for(node, "alpha", "is there again", consumers=1, unseen="")


def test_a_watcher_that_is_killed_comes_back_and_one_that_is_stopped_is_replaced(node: Node) -> None:
    node.configure("alpha", DEFAULTS__POOL="solo")
    node.start()
    node.wait_until_consuming()
    first, worker = wait_until_watched(node), node.pids()["alpha"]
    os.kill(first, signal.SIGKILL)
    wait_until(lambda: watcher(node) not in (0, first), 60, "another watcher")
    second = wait_until_watched(node)
    wait_for(node, "alpha", "is seen by it", consumers=1)
    os.kill(second, signal.SIGSTOP)
    wait_until(lambda: watcher(node) not in (0, second), 60, "another watcher")
    told = 'worker-replaced queue=magic.watcher pid=%d reason="it said nothing for 2'  # seconds, of which it has 20
    assert told % second in node.log.read_text()
    wait_for(node, "alpha", "is seen", consumers=1)
    assert node.pids()["alpha"] == worker
    assert node.stop() == 0


def test_a_redis_tells_what_waits_and_no_consumers(
    tmp_path: Path, broker: RabbitMQ, vhost: str, redis_server: Redis
) -> None:
    project = Project(tmp_path, broker, vhost)
    project.variables = {"BROKER": redis_server.url, "QUEUE": vhost}
    (project.code / "proj.py").write_text(WAITING)
    project.configure(DEFAULTS__POOL="solo", DEFAULTS__PREFETCH="1")
    try:
        project.start()
        project.wait_until_consuming()
        gate = tmp_path / "gate"
        project.python(f"import proj\nfor _ in range(10): proj.wait.delay({str(gate)!r})\nvalue = 0")
        seen = project.wait_for(vhost, lambda found: bool(found["waiting"]), "has tasks that wait")
        assert (seen["consumers"], seen["rate_in"], seen["oldest"], seen["unseen"]) == (None, None, None, "")
        assert seen["waiting"] + seen["active_count"] in range(9, 11)
        gate.touch()
        project.wait_for(vhost, lambda found: found["waiting"] == 0, "is empty")
    finally:
        project.close()
