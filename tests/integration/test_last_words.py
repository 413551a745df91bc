"""What an exception that ends a worker leaves behind, where people look first."""

from tests.node import Node

# A module of tasks that does something in its worker alone, and not where the planner looks.
MODULE = """
import os, sys
from celery import Task, signals

class {name}(Task):
    name = "{queue}"
    def run(self):
        pass

if open("/proc/self/comm").read() == "{queue}\\n":
    {code}
"""
CODES = {
    "alpha": "raise ValueError('no rates\\nfor ' + os.environ['API_TOKEN'] + '\\x1b[31m')",
    "beta": "signals.worker_init.connect(lambda **_: sys.exit('no licence'), weak=False)",
    "gamma": "signals.worker_ready.connect(lambda **_: sys.exit('no licence'), weak=False)",  # Celery catches it
    "delta": "signals.worker_ready.connect(lambda **_: sys.exit(3), weak=False)",
}


def test_a_status_says_which_exception_ends_a_worker(node: Node) -> None:
    for queue, code in CODES.items():
        (node.code / f"of_{queue}.py").write_text(MODULE.format(name=queue.title(), queue=queue, code=code))
    node.configure(*CODES, TASKS=",".join(f"of_{queue}:{queue.title()}" for queue in CODES), DEFAULTS__POOL="solo")
    with node.env_file.open("a") as file:
        file.write("API_TOKEN=swordfish\n")
    node.start()
    ends = {queue: node.wait_for(queue, lambda queue: queue["last_exit"], "has ended")["last_exit"] for queue in CODES}
    assert ends == {
        "alpha": "exit status 1: ValueError: no rates for ** [31m",
        "beta": "exit status 1: no licence",
        "gamma": "exit status 1: no licence",
        "delta": "exit status 3",
    }
    log = node.log.read_text()
    assert 'worker-exited queue=beta generation=1 status="exit status 1" reason="no licence"' in log
    assert "exit status 1: no licence" in node.run("status", "magic").stdout
    assert "swordfish" not in log
