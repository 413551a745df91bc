"""A lost connection has the broker deliver again what a worker still runs, or has run: there it is not run twice."""

from __future__ import annotations

import fcntl
import os
import signal
import termios
from collections import Counter
from collections.abc import Iterable
from functools import partial
from pathlib import Path

import psutil
import pytest

from tests import administration
from tests.node import Node, children, is_alive
from tests.truth import assert_well
from tests.waiting import wait_until

pytestmark = pytest.mark.celery

# Each run notes the task's id, and lasts until there is a file.
NOTED = """
import os, time
import celery

class Alpha(celery.Task):
    name = "alpha"

    def run(self, file):
        with open(os.environ["NOTES"], "a") as notes:
            notes.write(self.request.id + "\\n")
        while not os.path.exists(file):
            time.sleep(0.05)
        return self.request.id
"""


@pytest.mark.parametrize(("pool", "running", "waiting"), [("threads", 2, 4), ("solo", 1, 0)])
def test_what_is_delivered_again_to_the_worker_that_runs_it_is_run_once(
    node: Node, tmp_path: Path, pool: str, running: int, waiting: int
) -> None:
    notes, file = tmp_path / "notes", tmp_path / "file"
    (node.code / "greek.py").write_text(NOTED)
    node.configure("alpha", DEFAULTS__POOL=pool, DEFAULTS__CONCURRENCY=str(running), DEFAULTS__PREFETCH="2")
    node.start(NOTES=str(notes))
    node.wait_until_consuming()
    count = running + waiting
    sent = node.produce(f"print(json.dumps([worker.delay({str(file)!r}).id for _ in range({count})]))", "alpha")
    node.wait_for("alpha", lambda queue: queue["active_count"] == running, "runs what it can")
    for times in (1, 2):
        administration.close_all_connections(node.broker, node.vhost)
        if pool == "threads":  # a solo worker learns of it when its task has ended
            again = partial(delivered_again, node, times * 2 * running)
            wait_until(again, 60, "the broker has delivered again all that the worker had")
    file.touch()
    wait_until(lambda: node.queue("alpha")["succeeded"] == count, 60, "all are done")
    wait_until(lambda: node.queue("alpha")["active_count"] == 0, what="nothing runs")
    assert Counter(notes.read_text().split()) == dict.fromkeys(sent, 1)
    node.wait_until_consuming()  # a solo worker has connected again only after its task
    wait_until(lambda: node.broker.messages("alpha", node.vhost) == 0, what="all are acked")
    assert node.stop() == 0
    log = node.log.read_text()
    assert "Terminating" not in log
    assert ("goes on, though its connection is lost" in log) == (pool == "threads")


def test_what_a_process_has_and_has_not_told_of_is_run_once(node: Node, tmp_path: Path) -> None:
    notes, first, file = tmp_path / "notes", tmp_path / "first", tmp_path / "file"
    (node.code / "greek.py").write_text(NOTED)
    node.configure("alpha", DEFAULTS__POOL="prefork", DEFAULTS__CONCURRENCY="2")
    node.start(NOTES=str(notes))
    node.wait_until_consuming()
    send = "print(json.dumps([worker.delay({!r}).id for _ in range(2)]))"
    sent = node.produce(send.format(str(first)), "alpha")
    node.wait_for("alpha", lambda queue: queue["active_count"] == 2, "both processes run a task")
    first.touch()
    node.wait_for("alpha", lambda queue: queue["succeeded"] == 2, "both wait for another one")
    processes = children(node.pids()["alpha"])
    for each in processes:
        os.kill(each, signal.SIGSTOP)
    sent += node.produce(send.format(str(file)), "alpha")
    wait_until(lambda: len(unread(processes)) == 2, what="each has a task, and does not read it")
    administration.close_all_connections(node.broker, node.vhost)
    wait_until(partial(delivered_again, node, 2), what="both are delivered again")
    for each in processes:
        os.kill(each, signal.SIGCONT)
    node.wait_for("alpha", lambda queue: queue["active_count"] == 2, "runs both")
    file.touch()
    node.wait_for("alpha", lambda queue: queue["succeeded"] == 4, "both are done")
    assert Counter(notes.read_text().split()) == dict.fromkeys(sent, 1)
    assert node.stop() == 0
    assert node.broker.messages("alpha", node.vhost) == 0, "all are acked"


def test_what_a_process_that_has_ended_had_not_begun_is_run_once(node: Node, tmp_path: Path) -> None:
    notes, file = tmp_path / "notes", tmp_path / "file"
    file.touch()
    (node.code / "greek.py").write_text(NOTED)
    node.configure("alpha", DEFAULTS__POOL="prefork", DEFAULTS__CONCURRENCY="1")
    node.start(NOTES=str(notes))
    node.wait_until_consuming()
    send = f"print(json.dumps(worker.delay({str(file)!r}).id))"
    sent = [node.produce(send, "alpha")]
    node.wait_for("alpha", lambda queue: queue["succeeded"] == 1, "it is done")
    worker = node.pids()["alpha"]
    (process,) = children(worker)
    os.kill(process, signal.SIGSTOP)
    sent.append(node.produce(send, "alpha"))
    wait_until(lambda: len(unread([process])) == 1, what="it has a task, and does not read it")
    os.kill(worker, signal.SIGSTOP)  # so that it learns of both at once
    administration.close_all_connections(node.broker, node.vhost)
    wait_until(lambda: is_told(worker), what="it is told that its connection is closed")
    os.kill(process, signal.SIGKILL)
    wait_until(lambda: not is_alive(process), what="the process has ended")
    os.kill(worker, signal.SIGCONT)
    node.wait_for("alpha", lambda queue: queue["succeeded"] == 2, "it is done by another process")
    sent.append(node.produce(send, "alpha"))  # behind all that lies in that one's pipe
    node.wait_for("alpha", lambda queue: queue["succeeded"] == 3, "so is the last")
    assert Counter(notes.read_text().split()) == dict.fromkeys(sent, 1)
    assert node.stop() == 0
    assert node.broker.messages("alpha", node.vhost) == 0, "all are acked"


def test_what_has_run_while_the_broker_was_away_is_told_and_followed_later(node: Node, tmp_path: Path) -> None:
    notes, file = tmp_path / "notes", tmp_path / "file"
    (node.code / "greek.py").write_text(NOTED)
    node.variables["CELERY_TASKS_RESULTS"] = "rpc"
    node.configure("alpha", DEFAULTS__POOL="threads", DEFAULTS__CONCURRENCY="2")
    node.start(NOTES=str(notes))
    node.wait_until_consuming()
    code = f"""
import celery
alone = worker.delay({str(file)!r})
steps = celery.chain(worker.si({str(file)!r}), worker.si({str(file)!r})).delay()
print(alone.id, steps.parent.id, steps.id, flush=True)
print(alone.get(timeout=90), steps.get(timeout=90), flush=True)"""
    with node.producing(code, "alpha") as producer:
        assert producer.stdout is not None
        alone, first, second = producer.stdout.readline().split()
        node.wait_for("alpha", lambda queue: queue["active_count"] == 2, "runs both")
        node.broker.settle()
        node.broker.kill()
        try:
            file.touch()
            node.wait_for("alpha", lambda queue: queue["active_count"] == 0, "has run both, and given up to tell")
        finally:
            node.broker.start()
        assert producer.stdout.readline().split() == [alone, second]
    assert Counter(notes.read_text().split()) == {alone: 1, first: 2, second: 1}
    log = node.log.read_text()
    assert f"Task alpha[{first}] is done, and given back, to run again: what follows it could not be sent" in log
    assert "did not expect" not in log
    assert_well(node)


def test_a_task_with_the_id_of_one_that_runs_is_a_task_of_its_own(node: Node, tmp_path: Path) -> None:
    notes, file = tmp_path / "notes", tmp_path / "file"
    (node.code / "greek.py").write_text(NOTED)
    node.configure("alpha", DEFAULTS__POOL="threads", DEFAULTS__CONCURRENCY="2")
    send = f'[worker.apply_async(({str(file)!r},), task_id="twice") for _ in range(2)]; print("null")'
    assert node.produce(send, "alpha") is None
    with node.broker.connect(node.vhost) as another:
        channel = another.channel()
        wait_until(lambda: channel.basic_get("alpha"), what="one has it")
        node.start(NOTES=str(notes))
        node.wait_for("alpha", lambda queue: queue["active_count"] == 1, "runs the other")
    file.touch()
    wait_until(lambda: notes.read_text().split() == ["twice", "twice"], what="both have run")
    assert node.stop() == 0
    assert node.broker.messages("alpha", node.vhost) == 0, "both are acked"


def unread(processes: Iterable[int]) -> set[str]:
    """Return the pipes of processes, but for their standard streams, in which something waits."""
    found = set()
    for each in processes:
        folder = Path(f"/proc/{each}/fd")
        standard = {(folder / number).readlink() for number in "012"}
        for link in folder.iterdir():
            name = link.readlink()
            if name.name.startswith("pipe:") and name not in standard:
                pipe = os.open(link, os.O_RDONLY | os.O_NONBLOCK)
                if fcntl.ioctl(pipe, termios.FIONREAD, bytes(4)) != bytes(4):
                    found.add(name.name)
                os.close(pipe)
    return found


def is_told(pid: int) -> bool:
    """Say whether something waits in a TCP connection of a process."""
    own = {f"{each.laddr.port:04X}" for each in psutil.Process(pid).net_connections("tcp4")}
    rows = [line.split() for line in Path(f"/proc/{pid}/net/tcp").read_text().splitlines()[1:]]
    return any(row[1].split(":")[1] in own and int(row[4].split(":")[1], 16) for row in rows)


def delivered_again(node: Node, count: int) -> bool:
    return node.log.read_text().count("is delivered again while it runs here") == count
