"""What the agent says of a queue's health, and what it does about it, on real workers."""

import os
import re
import signal
from pathlib import Path
from typing import Any

from agent.guest.scoreboard import IDLE_BEAT
from tests.node import Node
from tests.waiting import wait_until


def until(node: Node, queue: str, *words: str) -> dict[str, Any]:
    return node.wait_for(queue, lambda seen: seen["health"] in words, f"is {' or '.join(words)}")


def test_a_worker_that_is_stopped_is_hung_and_is_replaced_after_its_grace(node: Node) -> None:
    node.configure("alpha", "beta", DEFAULTS__POOL="solo", QUEUES__alpha__HUNG_TIMEOUT="2", DEFAULTS__HUNG_TIMEOUT="")
    node.start()
    node.wait_until_consuming()
    pids = node.pids()
    for pid in pids.values():
        os.kill(pid, signal.SIGSTOP)
    assert "stopped" in until(node, "beta", "hung")["cause"]
    seen = node.wait_for("alpha", lambda queue: queue["pid"] not in (None, pids["alpha"]), "has another worker")
    assert seen["last_exit"] == "replaced by the agent: its process is stopped, as by SIGSTOP"
    assert node.run("probe", "live", "magic").returncode == 0
    assert node.run("probe", "ready", "magic").returncode == 1
    said = node.run("probe", "healthy", "magic")
    assert (said.returncode, said.stdout) == (1, "beta is hung: its process is stopped, as by SIGSTOP\n")
    os.kill(pids["beta"], signal.SIGCONT)
    until(node, "beta", "idle", "ok")
    node.wait_until_consuming()
    assert node.pids()["beta"] == pids["beta"]
    assert {node.run("probe", each, "magic").returncode for each in ("live", "ready", "healthy")} == {0}
    assert "health queue=beta health=hung" in node.log.read_text()


HANGS = """
import signal, time
from celery.signals import worker_ready

@worker_ready.connect
def hang(sender, **_):
    sender.timer.call_after(1.0, loop, args=(f"{os.environ['ONCE']} {sender.hostname.partition('.')[0]}",))

def loop(once):
    if not os.path.exists(once):
        open(once, "w").close()
        while True:
            time.sleep(0.1)
"""


def test_a_worker_whose_loop_hangs_shows_where_and_is_replaced_and_a_stop_does_not_wait_for_another_one(
    node: Node, tmp_path: Path
) -> None:
    (node.code / "greek.py").write_text((node.code / "greek.py").read_text() + HANGS)
    node.variables["ONCE"] = str(tmp_path / "once")
    kept = {"QUEUES__beta__HUNG_TIMEOUT": "", "QUEUES__beta__COLD_TIMEOUT": "1"}
    node.configure("alpha", "beta", DEFAULTS__POOL="threads", DEFAULTS__HUNG_TIMEOUT="1", **kept)
    node.start()
    wait_until(lambda: "worker-replaced queue=alpha" in node.log.read_text(), 60, "it is replaced")
    node.wait_for("alpha", lambda queue: queue["consuming"], "consumes again")
    assert node.send("alpha", "return", 5) == 5
    assert "in loop" in node.log.read_text().partition("worker-replaced")[2]
    seen = node.wait_for("beta", lambda queue: queue["health"] == "hung" and queue["health_age"] > IDLE_BEAT, "hangs")
    assert "does not turn" in seen["cause"]
    os.killpg(node.pids()["alpha"], signal.SIGSTOP)  # it has its whole time, and needs it not
    assert node.stop() == 0
    told = re.findall(r"worker-stop queue=(\w+) pid=\d+ how=(\w+)", node.log.read_text().rpartition(" stop how=")[2])
    assert [how for queue, how in told if queue == "alpha"] == ["warm"]
    assert [how for queue, how in told if queue == "beta"][:1] == ["cold"]


def test_threads_are_replaced_for_a_task_beyond_its_limit_and_the_others_run_again(node: Node, tmp_path: Path) -> None:
    node.configure("alpha", DEFAULTS__POOL="threads", DEFAULTS__CONCURRENCY="2", DEFAULTS__TIME_LIMIT="3")
    node.start()
    node.wait_until_consuming()
    pid = node.pids()["alpha"]
    node.send_and_leave("alpha", "wait for a file", str(tmp_path / "never"))
    node.wait_for("alpha", lambda queue: queue["pid"] not in (None, pid), "has another worker")
    node.wait_for("alpha", lambda queue: any(task["again"] for task in queue["active"]), "has it once more")
    (tmp_path / "never").touch()
    node.wait_for("alpha", lambda queue: queue["succeeded"] == 1, "has run it again")
    assert "worker-replaced" in node.log.read_text()
    assert "beyond its limit" in node.queue("alpha")["last_exit"]
