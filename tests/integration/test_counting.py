"""What status counts: each task by how it ended, over reloads and restarts; after a crash of the agent from 0 on."""

from __future__ import annotations

import os
import signal
from contextlib import suppress
from typing import Any

from tests.exposed import parsed
from tests.integration.dead_letters import publish, task
from tests.node import EACH_POOL, Node
from tests.waiting import wait_until

ONE_OF_EACH = """
from datetime import UTC, datetime, timedelta
over = datetime.now(UTC) - timedelta(hours=1)
for action in ("return", "fail", "retry", "expire", "reject", "give back", "abort"):
    worker.apply_async((action, 1), expires=over if action == "expire" else None).get(timeout=60, propagate=False)
print("null")
"""
REJECTING = """
from celery.exceptions import Reject
class Rejecting(Alpha):
    def run(self, action, value=None):
        if action in ("reject", "give back") and not self.request.delivery_info["redelivered"]:
            raise Reject("as asked", requeue=action == "give back")
        return super().run(action, value)
for each in NAMES:
    made = type(each.capitalize(), (Rejecting,), {"name": each})
    globals()[each.capitalize()] = made
"""
NINE = "[worker.delay(*each) for each in [('return', 1)] * 6 + [('fail', 'x')] * 3]; print('null')"


def counted(node: Node) -> tuple[int, int]:
    queue = node.queue("alpha")
    return queue["succeeded"], queue["failed"]


def has(succeeded: int, failed: int) -> Any:
    return lambda queue: queue["consuming"] and (queue["succeeded"], queue["failed"]) == (succeeded, failed)


def test_counts_outlast_a_kill_a_reload_and_a_restart_and_begin_at_0_after_a_crash(node: Node) -> None:
    node.configure("alpha")
    node.start()
    node.wait_until_consuming()
    node.produce(NINE, "alpha")
    killed = node.wait_for("alpha", has(6, 3), "has run nine")["pid"]
    os.kill(killed, signal.SIGKILL)
    node.wait_for("alpha", lambda queue: queue["consuming"] and queue["pid"] != killed, "is served again")
    assert counted(node) == (6, 3)
    node.produce(NINE, "alpha")
    node.wait_for("alpha", has(12, 6), "has run nine more")
    node.configure("alpha", DEFAULTS__CONCURRENCY="2")
    assert node.run("reload", "magic").returncode == 0
    node.wait_for("alpha", lambda queue: queue["concurrency"] == 2 and not queue["draining"], "has been replaced")
    assert counted(node) == (12, 6)
    assert node.stop() == 0
    node.start()
    node.wait_for("alpha", has(12, 6), "goes on after a restart")
    node.signal(signal.SIGKILL)
    assert node.process is not None
    node.process.wait()
    node.start()
    node.wait_for("alpha", has(0, 0), "begins anew after a crash")
    node.stop()
    (node.runtime / "magic" / "magic.counts").write_text('{"alpha": {"succeeded": "many"}}')
    node.start()
    node.wait_for("alpha", has(0, 0), "begins anew where there is no telling")
    assert "counts-not-read" in node.log.read_text()


def test_each_task_counts_once_and_as_what_became_of_it_however_often_it_was_delivered(node: Node) -> None:
    with (node.code / "greek.py").open("a") as code:
        code.write(REJECTING)
    node.configure_pools(EACH_POOL, DEFAULTS__MAX_DEATHS="2")
    node.start()
    node.wait_until_consuming()
    node.produce_at_once(ONE_OF_EACH, EACH_POOL)
    for queue in EACH_POOL:
        publish(node, queue, task("nobody's"))
    counts = {"succeeded": 3, "failed": 4, "retried": 1, "revoked": 1, "set_aside": 2, "results_lost": 0}

    def seen(queue: str) -> dict[str, int]:
        found = node.queue(queue)
        return {name: found[name] for name in counts}

    for queue in EACH_POOL:
        with suppress(AssertionError):  # what it is instead says more
            wait_until(lambda queue=queue: seen(queue) == counts, 60)  # type: ignore[misc]
        assert seen(queue) == counts
        assert node.broker.messages(f"{queue}.dead", node.vhost) == counts["set_aside"] + 1  # and what was rejected
    found = parsed(node.run("metrics", "magic").stdout)
    for metric, name in (("celery_task_revoked_total", "revoked"), ("celery_agent_queue_set_aside_total", "set_aside")):
        told = {labels["queue_name"]: value for labels, value in found[metric]}
        assert told == dict.fromkeys(EACH_POOL, counts[name])
