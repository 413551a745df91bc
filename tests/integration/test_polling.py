"""What polls a task whose result comes back through the broker: each state that is set between, and the result."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.node import TASKS, Node
from tests.rabbitmq import RabbitMQ
from tests.truth import held_to_the_truth

STATES = """
class Alpha(celery.Task):
    name = "alpha"
    def run(self, folder):
        for state in ("FIRST", "SECOND"):
            self.update_state(state=state, meta=state.lower())
            while not os.path.exists(os.path.join(folder, state)):
                time.sleep(0.05)
        return "done"
"""


@pytest.fixture(scope="module")
def states(tmp_path_factory: pytest.TempPathFactory, broker: RabbitMQ) -> Iterator[Node]:
    """A node whose tasks set states, and go on when a file is there."""
    broker.add_vhost("states")
    node = Node(tmp_path_factory.mktemp("node"), broker, "states")
    (node.code / "greek.py").write_text(TASKS + STATES)
    node.configure("alpha", DEFAULTS__POOL="threads", DEFAULTS__CONCURRENCY="2")
    node.start()
    with held_to_the_truth(node):
        node.wait_until_consuming()
        yield node
    broker.delete_vhost("states")


@pytest.mark.parametrize("how", ["alone", "after a get", "beside a get", "beside another's get"])
def test_who_polls_a_task_sees_each_state_and_the_result(states: Node, how: str, tmp_path: Path) -> None:
    code = f"""
import os, threading, time
result = worker.delay({str(tmp_path)!r})
waiting = threading.Thread(target=result.get, kwargs={{"timeout": 60}}, daemon=True)
if {how!r} == "after a get":
    try:
        result.get(timeout=1)
    except Exception:
        pass
elif {how!r} == "beside a get":
    waiting.start()
elif {how!r} == "beside another's get":
    other = worker.delay({str(tmp_path)!r})
    threading.Thread(target=other.get, kwargs={{"timeout": 60}}, daemon=True).start()
seen = []
def wait_for(state):
    end = time.monotonic() + 30
    while result.state != state and time.monotonic() < end:
        seen.append(result.state)
        time.sleep(0.05)
    seen.append(result.state)
    return [result.state, result.info]
told = [wait_for("FIRST")]
open({str(tmp_path)!r} + "/FIRST", "w")
told.append(wait_for("SECOND"))
open({str(tmp_path)!r} + "/SECOND", "w")
told.append(wait_for("SUCCESS"))
print(json.dumps([told, seen == sorted(seen, key=["PENDING", "FIRST", "SECOND", "SUCCESS"].index), result.get(timeout=1)]))"""
    told = [["FIRST", "first"], ["SECOND", "second"], ["SUCCESS", "done"]]
    assert states.produce(code, "alpha") == [told, True, "done"]
