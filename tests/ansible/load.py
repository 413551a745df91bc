"""Load on a fleet with a ledger: a producer that sends without a pause and wants an answer to everything it sent."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass

from tests.system.site import Site

CODE = "/opt/celery-agent/code/consumer/current"

# Each thread sends a task and waits for its answer, as a web server's do: their connections are never idle for long.
_PROGRAM = """
import json, os, pathlib, sys, threading, time
sys.path[:0] = [sys.argv[1]]
from celery_tasks.tasks import SleepTask
from celery_tasks.utils import create_worker_from
_, task = create_worker_from(SleepTask)
accepted, answered, refused, stop = [], [], [], pathlib.Path("/run/stop")
answers = os.environ["CELERY_TASKS_RESULTS"] != "off"
def send():
    while not stop.exists():
        try:
            result = task.delay(0.1)
        except Exception as error:
            refused.append(repr(error))
            time.sleep(0.1)
            continue
        accepted.append(result.id)
        pathlib.Path("/run/accepted").touch()
        if answers and result.get(timeout=120) == 0.1:
            answered.append(result.id)
        time.sleep(0.1 if answers else 1)  # who does not wait for answers must not be faster than the workers
threads = [threading.Thread(target=send) for _ in range(4)]
for each in threads: each.start()
for each in threads: each.join()
print(json.dumps({"accepted": accepted, "answered": answered, "refused": refused}))
"""


@dataclass(frozen=True, slots=True)
class Ledger:
    """The ids of tasks that the broker confirmed, of those whose answer came, and why others could not be sent."""

    accepted: list[str]
    answered: list[str]
    refused: list[str]


def begin(site: Site, producer: str = "producer1", results: str = "rpc") -> None:
    """Start to send; return when the first task was accepted. `results` is CELERY_TASKS_RESULTS."""
    host = site.hosts[producer]
    host.run("rm", "-f", "/run/accepted")
    settings = host.run("cat", "/etc/celery-tasks/broker.env")
    host.write("/run/load.env", f"{settings}\nCELERY_TASKS_RESULTS={results}\n", mode=0o600)
    python = "/opt/celery-agent/current/bin/python"
    site.start(host, "load", _PROGRAM, CODE, python=python, environment="/run/load.env")
    site.wait_for_file(host, "/run/accepted")


def end(site: Site, producer: str = "producer1") -> Ledger:
    """Stop sending, and wait for the answers that are due."""
    printed = site.finish(site.hosts[producer], "load", timeout=300.0)
    assert printed, site.hosts[producer].run("journalctl", "-u", "load", "-n", "30")
    return Ledger(**json.loads(printed))


def done(site: Site, node: str) -> set[str]:
    """Return the ids of the tasks that a node has done, as its journal tells."""
    said = site.hosts[node].run("journalctl", "--output=cat", "--unit=celery-agent@naps")
    return set(re.findall(r"^Task sleep\[([0-9a-f-]+)\] succeeded", said, re.MULTILINE))
