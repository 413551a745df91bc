"""Stopping in a task, by Celery's remote debugger."""

import re
import socket

from tests.node import Node
from tests.truth import assert_well
from tests.waiting import wait_until

TASKS = """
import celery
from celery.contrib import rdb

class Alpha(celery.Task):
    name = "alpha"
    def run(self):
        count = 3
        rdb.set_trace()
        return count
"""
ASKING = """
result = worker.delay()
print(json.dumps(result.get(timeout=60)))
"""


def until_it_asks(debugger: socket.socket) -> bytes:
    said = b""
    while not said.endswith(b"(Pdb) "):
        chunk = debugger.recv(4096)
        assert chunk, said
        said += chunk
    return said


def test_a_task_waits_for_a_debugger_which_may_look_and_change(node: Node) -> None:
    (node.code / "greek.py").write_text(TASKS)
    node.configure("alpha", DEFAULTS__POOL="prefork")
    node.start()
    node.wait_until_consuming()
    with node.producing(ASKING, "alpha") as producer:
        waits = re.compile(r"telnet 127\.0\.0\.1 (\d+)")
        found = wait_until(lambda: waits.search(node.log.read_text()), 60, "the task waits")
        assert found is not None
        with socket.create_connection(("127.0.0.1", int(found[1])), timeout=60) as debugger:
            answers = []
            for line in (b"p count + 39\n", b"count = 7\n", b"c\n"):  # one by one: it drops what comes before it asks
                answers.append(until_it_asks(debugger))
                debugger.sendall(line)
            assert b"42" in answers[1]
            out, errors = producer.communicate(timeout=60)
    assert out.strip() == "7", errors
    assert_well(node)
