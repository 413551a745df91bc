"""Load on a fleet with a ledger: a producer that sends without a pause and wants an answer to everything it sent."""

from __future__ import annotations

import json
from dataclasses import dataclass

from tests.system.site import Site

CODE = "/opt/celery-agent/code/consumer/current"

_PROGRAM = """
import json, pathlib, sys, time
sys.path[:0] = [sys.argv[1]]
from celery_tasks.tasks import SleepTask
from celery_tasks.utils import create_worker_from
_, task = create_worker_from(SleepTask)
accepted, refused, stop = [], 0, pathlib.Path("/run/stop")
while not stop.exists():
    try:
        accepted.append(task.delay(0.1))
        pathlib.Path("/run/accepted").touch()
    except Exception as error:
        refused += 1
        print(repr(error), file=sys.stderr)
    time.sleep(0.05)
answered = sum(result.get(timeout=120) == 0.1 for result in accepted)
print(json.dumps({"accepted": len(accepted), "answered": answered, "refused": refused}))
"""


@dataclass(frozen=True, slots=True)
class Ledger:
    """Tasks that the broker confirmed, those whose answer came, and those that could not be sent."""

    accepted: int
    answered: int
    refused: int


def begin(site: Site, producer: str = "producer1") -> None:
    """Start to send; return when the first task was accepted."""
    host = site.hosts[producer]
    host.run("rm", "-f", "/run/accepted")
    python = "/opt/celery-agent/current/bin/python"
    site.start(host, "load", _PROGRAM, CODE, python=python, environment="/etc/celery-tasks/broker.env")
    site.wait_for_file(host, "/run/accepted")


def end(site: Site, producer: str = "producer1") -> Ledger:
    """Stop sending, and wait for the answers that are due."""
    printed = site.finish(site.hosts[producer], "load", timeout=300.0)
    assert printed, site.hosts[producer].run("journalctl", "-u", "load", "-n", "30")
    return Ledger(**json.loads(printed))
