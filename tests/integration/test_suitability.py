"""What tasks ask for that their pool can't give is told before they run, and when their worker starts."""

from __future__ import annotations

import pytest

from tests.node import TASKS, Node
from tests.waiting import wait_until

DEMANDING = """
import threading

class Limited(Alpha):
    time_limit = 60
    soft_time_limit = 50

threading.Thread(target=time.sleep, args=(3600,), name="uploads", daemon=True).start()
Alpha = Limited
"""

LIMITS = ("Limited.time_limit is 60, and nothing enforces it", "Limited.soft_time_limit is 50, and nothing enforces it")
THREADS = ("importing its tasks starts threads (uploads)",)


@pytest.mark.parametrize(("pool", "told"), [("prefork", THREADS), ("threads", LIMITS)])
def test_what_a_pool_can_not_do_for_its_tasks_is_told(node: Node, pool: str, told: tuple[str, ...]) -> None:
    (node.code / "greek.py").write_text(TASKS + DEMANDING)
    node.configure("alpha", DEFAULTS__POOL=pool)
    checked = node.run("check", node.instance)
    assert checked.returncode == 0, checked.stdout
    warnings = [line for line in checked.stdout.splitlines() if line.split()[1:3] == ["warn", "queue"]]
    assert len(warnings) == len(told), checked.stdout
    assert all(f"alpha: {text}" in line for text, line in zip(told, warnings, strict=True))
    node.start()
    node.wait_until_consuming()
    wait_until(lambda: all(node.log.read_text().count(text) == 1 for text in told), what="the log says the same")
