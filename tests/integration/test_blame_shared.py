"""A task that ends its process where more than one agent or worker is involved: several nodes, an agent that ends."""

from __future__ import annotations

import os
import signal
from collections import Counter
from pathlib import Path

from agent.errors import OK
from celery_delivery.topology.queues import DELIVERY_LIMIT
from tests.integration.dead_letters import letters, waiting
from tests.integration.test_innocents import MOST_DEATHS, Cell, ledger, prepare
from tests.node import TASKS, Node
from tests.rabbitmq import RabbitMQ
from tests.waiting import wait_until

COUNT = 60
WAITING = """
            elif action == "end":
                run = sum(each.startswith("run-") for each in os.listdir(value)) + 1
                open(f"{value}/run-{run}", "x").close()
                while not os.path.exists(f"{value}/end-{run}"):
                    time.sleep(0.05)
                os.abort()
            return value
"""


def beside(node: Node, folder: Path, broker: RabbitMQ, vhost: str, name: str) -> Node:
    """Return a node that hosts what another one does."""
    (folder / name).mkdir()
    other = Node(folder / name, broker, vhost, name)
    other.env_file.write_text(node.env_file.read_text())
    return other


def test_nodes_that_share_a_queue_set_aside_the_same_tasks_and_no_other(
    node: Node, tmp_path: Path, broker: RabbitMQ, vhost: str
) -> None:
    cells = {"alpha": Cell("threads", 2, 8, 3)}
    (deadly,) = prepare(node, cells, COUNT).values()
    others = [beside(node, tmp_path, broker, vhost, name) for name in ("second", "third")]
    try:
        for each in (node, *others):
            each.start()
        everything = {f"alpha-{number}" for number in range(COUNT)}

        def is_over() -> bool:
            return waiting(node, "alpha.dead") >= len(deadly) and everything <= {each for each, _ in ledger(node)}

        wait_until(is_over, 120, "all have run")
        assert {each["id"] for each in letters(node)} == deadly
        often = Counter(each for each, _ in ledger(node))
        assert max(often[each] for each in deadly) <= DELIVERY_LIMIT
        assert waiting(node, "alpha") == 0
    finally:
        for other in others:
            other.close()


def abort_again(node: Node, run: int) -> None:
    """Have the task that runs end its process; return when its next run has begun, or it has none."""
    (node.code / f"end-{run}").touch()


def begin(node: Node, pool: str, **settings: str) -> None:
    """Have a task run that ends its process when it is told to."""
    (node.code / "greek.py").write_text(TASKS.replace("            return value\n", WAITING))
    node.configure("alpha", DEFAULTS__POOL=pool, **settings)
    node.start()
    node.produce(f"worker.apply_async(('end', {str(node.code)!r}), task_id='ends'); print('null')", "alpha")


def runs(node: Node) -> int:
    return len(list(node.code.glob("run-*")))


def wait_for_run(node: Node, number: int) -> None:
    wait_until(lambda: runs(node) >= number, 60, f"run {number} has begun")


def test_what_is_known_of_a_task_outlasts_the_agent(node: Node) -> None:
    """It would be given back until its queue's limit is reached, were its deaths forgotten with the agent."""
    begin(node, "solo")
    for run in (1, 2):
        wait_for_run(node, run)
        abort_again(node, run)
    wait_for_run(node, 3)
    node.close()
    node.start()
    wait_for_run(node, 4)  # the stop of an agent is no death
    abort_again(node, 4)
    (letter,) = wait_until(lambda: letters(node), 60, "it is a dead letter")
    assert (letter["id"], letter["reason"]) == ("ends", "crashes")
    assert "its process ended 3 times" in letter["text"]
    assert runs(node) == 4


def test_what_a_task_did_to_processes_of_a_pool_outlasts_the_one_above_them(node: Node) -> None:
    begin(node, "prefork")
    for run in (1, 2):
        wait_for_run(node, run)
        abort_again(node, run)
    wait_for_run(node, 3)
    os.kill(node.pids()["alpha"], signal.SIGKILL)
    (letter,) = wait_until(lambda: letters(node), 60, "it is a dead letter")
    assert (letter["id"], letter["reason"]) == ("ends", "crashes")
    assert "its process ended 3 times" in letter["text"]
    assert runs(node) == 3


def test_of_two_nodes_that_each_know_of_some_deaths_one_sets_the_task_aside_for_them(
    node: Node, tmp_path: Path, broker: RabbitMQ, vhost: str
) -> None:
    """Each node knows of its own three; the broker's limit would end it without a word of its crashes."""
    begin(node, "solo")
    wait_for_run(node, 1)
    other = beside(node, tmp_path, broker, vhost, "second")
    try:
        other.start()
        other.wait_until_consuming()
        for run in range(1, DELIVERY_LIMIT + 1):
            wait_until(lambda run=run: runs(node) >= run or letters(node), 60, "it runs again, or never more")  # type: ignore[misc]
            abort_again(node, run)
        (letter,) = wait_until(lambda: letters(node), 60, "it is a dead letter")
        assert (letter["id"], letter["reason"]) == ("ends", "crashes")
        assert runs(node) <= MOST_DEATHS + 1
    finally:
        other.close()


def test_deaths_that_can_not_be_kept_cost_a_line_and_a_file_that_is_none_of_ours_another(node: Node) -> None:
    folder = node.runtime / "magic"
    folder.mkdir(mode=0o750)
    (folder / "magic.suspects").write_text('{"alpha": 5}')
    (folder / "magic.new").mkdir()
    node.configure("alpha", DEFAULTS__POOL="solo", DEFAULTS__MAX_DEATHS="1")
    node.start()
    node.wait_until_consuming()
    node.send_and_leave("alpha", "abort")
    wait_until(lambda: waiting(node, "alpha.dead") == 1, 60, "it is a dead letter")
    assert node.send("alpha", "return", 1) == 1
    log = node.log.read_text()
    assert "suspects-not-read" in log
    assert "suspects-not-kept" in log


def test_suspects_that_are_revoked_are_not_run_again_and_are_no_dead_letters(node: Node) -> None:
    begin(node, "threads", DEFAULTS__CONCURRENCY="2")
    wait_for_run(node, 1)
    go = node.code / "go"
    node.produce(f"worker.apply_async(('wait for a file', {str(go)!r}), task_id='waits'); print('null')", "alpha")
    node.wait_for("alpha", lambda queue: queue["active_count"] == 2, "both run")
    assert node.run("revoke", "ends", "waits").returncode == OK
    abort_again(node, 1)
    node.send_and_leave("alpha", "return", 1)
    node.wait_for("alpha", lambda queue: queue["succeeded"] == 1, "has come to the next task")
    log = node.log.read_text()
    assert "Discarding revoked task: alpha[ends]" in log
    assert "Discarding revoked task: alpha[waits]" in log
    assert runs(node) == 1
    assert [waiting(node, each) for each in ("alpha", "alpha.dead")] == [0, 0]


def test_who_is_revoked_after_its_last_death_is_no_dead_letter(node: Node) -> None:
    begin(node, "solo", DEFAULTS__MAX_DEATHS="1")
    wait_for_run(node, 1)
    assert node.run("revoke", "ends").returncode == OK
    abort_again(node, 1)
    wait_until(lambda: "Discarding revoked task: alpha[ends]" in node.log.read_text(), 60, "it is not run again")
    wait_until(lambda: waiting(node, "alpha") == 0, 60, "it is acked")
    assert (runs(node), letters(node)) == (1, [])
