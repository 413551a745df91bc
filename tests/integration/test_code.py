"""What code runs: that which a queue's workers began with, until a reload changes the queue or the agent is restarted."""

import os
import signal

from tests.node import TASKS, Node, is_alive
from tests.truth import assert_well
from tests.waiting import wait_until

HALF_SAVED = "def alpha(:\n"
TEXT = f"""import helper, shop.prices
{TASKS}
for each in (Alpha, Beta):
    each.run = lambda self: helper.VALUE + shop.prices.VALUE
"""


def prepare(node: Node) -> None:
    (node.code / "shop").mkdir()
    (node.code / "shop" / "__init__.py").write_text("")
    (node.code / "shop" / "prices.py").write_text("VALUE = 1\n")
    (node.code / "helper.py").write_text("VALUE = 10\n")
    (node.code / "greek.py").write_text(TEXT)


def kill_worker(node: Node, queue: str) -> None:
    old = node.pids()[queue]
    os.kill(old, signal.SIGKILL)
    wait_until(lambda: not is_alive(old), what="the worker is gone")
    node.wait_until_consuming()


def test_a_worker_that_is_replaced_runs_the_code_that_the_others_run(node: Node) -> None:
    prepare(node)
    node.configure("alpha", "beta", DEFAULTS__POOL="solo")
    node.start()
    node.wait_until_consuming()
    assert (node.send("alpha"), node.send("beta")) == (11, 11)
    (node.code / "greek.py").write_text(HALF_SAVED)
    (node.code / "helper.py").write_text("VALUE = 20\n")
    (node.code / "shop" / "prices.py").unlink()
    kill_worker(node, "alpha")
    (node.code / "greek.py").write_text(TEXT)  # for the producers
    (node.code / "shop" / "prices.py").write_text("VALUE = 2\n")
    assert (node.send("alpha"), node.send("beta")) == (11, 11)
    assert_well(node)


def test_a_reload_that_finds_newer_code_says_who_runs_the_older(node: Node) -> None:
    prepare(node)
    node.configure("alpha", DEFAULTS__POOL="solo")
    node.start()
    node.wait_until_consuming()
    (node.code / "helper.py").write_text("VALUE = 200\n")
    node.configure("alpha", "beta", DEFAULTS__POOL="solo")
    done = node.run("reload", "magic", "--wait")
    assert done.returncode == 0, done.stderr
    assert "newer code is not run by alpha: restart" in done.stdout
    assert f"code-newer queues=alpha files={node.code / 'helper.py'}" in node.log.read_text()
    kill_worker(node, "alpha")
    assert (node.send("alpha"), node.send("beta")) == (11, 201)
    assert "newer code" in node.run("reload", "magic").stdout
    assert_well(node)


def test_what_was_not_imported_at_once_comes_from_its_file(node: Node) -> None:
    prepare(node)
    text = f"{TASKS}\ndef run(self):\n    import later\n    return later.VALUE\nAlpha.run = run\n"
    (node.code / "greek.py").write_text(text)
    node.configure("alpha", DEFAULTS__POOL="prefork")
    node.start()
    node.wait_until_consuming()
    (node.code / "later.py").write_text("VALUE = 5\n")
    assert node.send("alpha") == 5
    assert_well(node)
