"""Broadcast queues of an app: each instance gets what is sent, also two of one host, and a worker that a reload has made."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tests.projects import Project
from tests.rabbitmq import RabbitMQ
from tests.waiting import wait_until

SOURCE = """
import os
from celery import Celery
from kombu import Queue
from kombu.common import Broadcast
app = Celery("proj", broker=os.environ["BROKER"])
app.conf.task_queues = (Broadcast("everybody"), Queue("celery"))
app.conf.task_routes = {"note": {"queue": "everybody", "exchange": "everybody"}}

@app.task(bind=True, name="note")
def note(self, path):
    with open(path, "a") as file:
        file.write(self.request.hostname.partition("@")[0] + "\\n")
"""


def is_new(queue: dict[str, Any]) -> bool:
    """Tell whether the second worker of a queue consumes, and the first is gone."""
    return bool(queue["generation"] == 2 and queue["consuming"] and not queue["draining"] and not queue["replacement"])


def test_each_instance_gets_what_is_sent_also_after_a_reload(tmp_path: Path, broker: RabbitMQ, vhost: str) -> None:
    projects = []
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        projects.append(Project(tmp_path / name, broker, vhost, name))
    one = projects[0]

    def noted(path: str) -> list[str]:
        one.python(f"from proj import note\nvalue = note.delay({str(tmp_path / path)!r}).id")
        file = tmp_path / path
        wait_until(lambda: file.exists() and len(file.read_text().split()) == 2, 60, "both have noted it")
        return sorted(file.read_text().split())

    try:
        for project in projects:
            (project.code / "proj.py").write_text(SOURCE)
            project.configure("everybody", QUEUES__everybody__POOL="solo")
            project.start()
        for project in projects:
            project.wait_until_consuming()
        assert noted("first") == ["everybody.1.one", "everybody.1.two"]
        one.configure("everybody", QUEUES__everybody__POOL="threads")
        assert one.run("reload", "one").returncode == 0
        one.wait_for("everybody", is_new, "has its new worker alone")
        assert noted("second") == ["everybody.1.two", "everybody.2.one"]
    finally:
        for project in projects:
            project.close()
