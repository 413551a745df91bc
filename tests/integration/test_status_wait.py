"""`agent status --wait` where no queue will ever consume."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from agent.cli.waiting import wait_until_consuming
from agent.config.instances import Folders
from agent.errors import NotRunning
from tests.node import Node
from tests.waiting import wait_until

FAILS = """
import os, time
while not os.path.exists({path!r}):
    time.sleep(0.05)
raise ValueError("no stock")
"""


class Looked(Folders):
    """The folders, and how often it was looked into that of the instance."""

    count = 0

    def runtime_folder(self, instance: str) -> Path:
        Looked.count += 1
        return super().runtime_folder(instance)


def test_it_is_over_where_the_agent_had_ended_before_and_not_where_another_is_started(node: Node) -> None:
    node.configure("alpha", DEFAULTS__POOL="none")
    node.start()
    assert node.process is not None
    assert node.process.wait(30) == 78
    places = Folders(node.config, node.runtime)
    with pytest.raises(NotRunning, match="magic has ended with status 78: .*POOL"):
        wait_until_consuming(places, ["magic"], 60)
    node.configure("alpha", DEFAULTS__POOL="solo")
    node.start()
    node.wait_until_consuming()
    assert not (node.runtime / "magic" / "ended").exists()
    assert node.stop() == 0


def test_it_is_over_once_the_agent_has_ended(node: Node) -> None:
    fail = node.code / "fail"
    (node.code / "greek.py").write_text(FAILS.format(path=str(fail)))
    node.configure("alpha")
    node.start()
    wait_until(lambda: node.run("status", "magic").returncode == 0, 30, "the agent answers")
    with ThreadPoolExecutor() as threads:
        wait = threads.submit(wait_until_consuming, Looked(node.config, node.runtime), ["magic"], 60)
        wait_until(lambda: Looked.count > 1, 30, "the agent has been seen")
        fail.touch()
        error = wait.exception(90)
    assert isinstance(error, NotRunning)
    assert str(error) == "magic has ended: see its log, and `agent check magic`"
    assert node.process is not None
    assert node.process.wait(30) == 78
