"""What tasks may do with sys.stdout and sys.stderr where there is no journal, and Celery leads both to its logger."""

import pytest

from tests.node import TASKS, Node

SAYING = """
import subprocess

class Saying(celery.Task):
    name = "saying"

    def run(self):
        for stream in (sys.stdout, sys.stderr):
            subprocess.run(["echo", "said by a program"], stdout=stream, check=True)
            stream.buffer.write(b"said in bytes\\n")
            stream.buffer.flush()
            print("said in text", file=stream)
            assert stream.writable() and stream.encoding
"""


@pytest.mark.parametrize("pool", ["solo", "threads", "prefork"])
def test_a_task_may_give_its_streams_to_programs_and_write_bytes(node: Node, pool: str) -> None:
    (node.code / "greek.py").write_text(TASKS + SAYING)
    node.configure("saying", DEFAULTS__POOL=pool)
    node.start()
    node.wait_until_consuming()
    assert node.send("saying") is None
    said = node.log.read_text().splitlines()
    assert (said.count("said by a program"), said.count("said in bytes")) == (2, 2)
    assert sum(line.endswith("said in text") for line in said) == 2
    assert node.queue("saying")["succeeded"] == 1
