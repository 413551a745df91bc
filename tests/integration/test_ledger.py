"""What status and metrics count agrees with what callers were told, over a kill -9 of each worker and a reload."""

from __future__ import annotations

import json
import os
import signal
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from tests.exposed import parsed
from tests.node import Node
from tests.waiting import wait_until

POOLS = {"alpha": "prefork", "beta": "threads", "gamma": "solo"}
POISON = {"alpha": 2}  # the other pools' workers end with it, and what has run then and was not acked yet runs twice
# Half of the tasks, then as many that wait as run at once: what comes behind them has not begun when a worker is killed.
SENT = """
from collections import Counter
from datetime import UTC, datetime, timedelta
over = datetime.now(UTC) - timedelta(hours=1)
acts = ["fail" if n % 10 == 3 else "retry" if n % 25 == 1 else "expire" if n % 20 == 7 else "return" for n in range({count})]
for place in range({poison}):
    acts[2 + 3 * place] = "abort"
half = len(acts) // 2
def send(act):
    return worker.apply_async((act, 1), expires=over if act == "expire" else None)
sent = [send(act) for act in acts[:half]]
sent += [worker.apply_async(("wait for a file", {go!r}), task_id=f"gate-{{n}}-{queue}") for n in range({gates})]
sent += [send(act) for act in acts[half:]]
for each in sent:
    each.get(timeout=600, propagate=False)
print(json.dumps({{**Counter(each.state for each in sent), "retries": acts.count("retry")}}))
"""


def gates(node: Node, queue: str) -> int:
    """Return how many of the tasks that wait are running, where no other runs."""
    running = [task["id"] for task in node.queue(queue)["active"]]
    return len(running) if all(each.startswith("gate-") for each in running) else 0


def is_done(seen: dict[str, Any], tasks: int) -> bool:
    """Say whether so many tasks of a queue have come to an end, or more, and none runs."""
    return not seen["active_count"] and seen["succeeded"] + seen["failed"] + seen["revoked"] >= tasks


def test_status_metrics_and_callers_agree_on_what_became_of_each_task(
    node: Node, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    count = request.config.getoption("--entries") // len(POOLS)
    at_once = {queue: 1 if pool == "solo" else 2 for queue, pool in POOLS.items()}
    one_by_one = {"QUEUES__gamma__PREFETCH": "1"}  # so that a solo worker's ack is sent before its next task comes
    node.configure_pools(POOLS, DEFAULTS__CONCURRENCY="2", QUEUES__gamma__CONCURRENCY="1", **one_by_one)
    node.start()
    node.wait_until_consuming()
    go = tmp_path / "go"
    code = {
        queue: SENT.format(count=count, poison=POISON.get(queue, 0), go=str(go), gates=at_once[queue], queue=queue)
        for queue in POOLS
    }
    with (
        node.producing(code["alpha"], "alpha") as alpha,
        node.producing(code["beta"], "beta") as beta,
        node.producing(code["gamma"], "gamma") as gamma,
    ):
        for queue in POOLS:
            wait_until(lambda queue=queue: gates(node, queue) == at_once[queue], 500, f"{queue} is half done")  # type: ignore[misc]
        time.sleep(1)  # each loop has turned since, and what has ended was acked
        before = node.pids()
        for queue in POOLS:
            os.kill(before[queue], signal.SIGKILL)
        for queue in POOLS:
            node.wait_for(queue, lambda seen: seen["consuming"] and seen["pid"] not in before.values(), "is back")
        go.touch()
        node.configure_pools(POOLS, DEFAULTS__CONCURRENCY="3", QUEUES__gamma__CONCURRENCY="1", **one_by_one)
        assert node.run("reload", "magic").returncode == 0
        printed = {"alpha": alpha.communicate(), "beta": beta.communicate(), "gamma": gamma.communicate()}
    assert all(out for out, _ in printed.values()), printed
    ledgers = {queue: Counter(json.loads(out)) for queue, (out, _) in printed.items()}
    for queue in POOLS:  # a caller may be told before the worker's main process is
        wait_until(lambda queue=queue: is_done(node.queue(queue), count + at_once[queue]), 60, f"{queue} has run all")  # type: ignore[misc]
    found = parsed(node.run("metrics", "magic").stdout)
    for queue, ledger in ledgers.items():
        told = {
            "succeeded": ledger["SUCCESS"],
            "failed": ledger["FAILURE"],
            "revoked": ledger["REVOKED"],
            "retried": ledger["retries"],
        }
        seen = node.queue(queue)
        assert {name: seen[name] for name in told} == told, queue
        assert seen["set_aside"] == POISON.get(queue, 0)
        for name, number in told.items():
            of_queues = {labels["queue_name"]: value for labels, value in found[f"celery_task_{name}_total"]}
            assert of_queues[queue] == number
        assert sum(ledger.values()) - ledger["retries"] == count + at_once[queue]
