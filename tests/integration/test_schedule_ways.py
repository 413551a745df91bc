"""What else periodic tasks are sent by: an app, schedulers of others, users with the least rights; and what goes wrong."""

from __future__ import annotations

import json
from pathlib import Path

import amqp
import pytest

from agent.errors import CONFIGURATION
from tests import administration
from tests.integration.schedules import LEASE, schedule_of
from tests.integration.strict import Strict
from tests.node import Node
from tests.projects import Project
from tests.waiting import wait_until

APP = """
import os
from celery import Celery, shared_task
from celery.beat import Scheduler

app = Celery("proj", broker=os.environ["BROKER"])
app.conf.task_default_queue = "work"

@app.task(name="note")
def note(text):
    with open(os.environ["LEDGER"], "a") as file:
        file.write(text + "\\n")

app.conf.beat_schedule = {"each": {"task": "note", "schedule": 1, "args": ["of the app"]}}

class Others(Scheduler):
    '''Keeps its entries itself, as a database would, and writes down when it was told to.'''

    def setup_schedule(self):
        self.update_from_dict({"other": {"task": "note", "schedule": 1, "args": ["of others"]}})

    def reserve(self, entry):
        return next(entry)  # as django-celery-beat: what the schedule has stays old until it is read anew

    def sync(self):
        with open(os.environ["LEDGER"], "a") as file:
            file.write("synced\\n")
"""


@pytest.fixture
def project(project: Project, tmp_path: Path) -> Project:
    """A project with entries of its own."""
    (project.code / "proj.py").write_text(APP)
    project.variables["LEDGER"] = str(tmp_path / "ledger")
    return project


def wait_for(project: Project, line: str, count: int = 2) -> None:
    ledger = Path(project.variables["LEDGER"])

    def lines() -> list[str]:
        return ledger.read_text().splitlines() if ledger.exists() else []

    wait_until(lambda: lines().count(line) >= count, 60, f"{count} times {line!r} in the ledger: {lines()}")


def test_an_app_s_own_entries_are_sent(project: Project) -> None:
    project.configure(SCHEDULE="app", DEFAULTS__POOL="solo")
    project.start()
    wait_for(project, "of the app")
    schedule = schedule_of(project)
    assert schedule is not None
    assert [each["entry"] for each in schedule["entries"]] == ["each", "celery.backend_cleanup"]


def test_a_scheduler_of_others_sends_by_the_same_right(project: Project) -> None:
    project.configure(SCHEDULE="proj:Others", DEFAULTS__POOL="solo")
    project.start()
    wait_for(project, "of others", 3)
    wait_for(project, "synced")
    schedule = schedule_of(project)
    assert schedule is not None
    assert schedule["leads"]
    (entry,) = schedule["entries"]
    assert entry["entry"] == "other"
    assert entry["last"] < entry["next"]


def test_the_rights_that_are_printed_are_enough(node: Node, tmp_path: Path) -> None:
    strict = Strict(node, tmp_path, "off")
    entry = {"task": "alpha", "schedule": 1, "args": ["return", None]}
    (node.code / "entries.py").write_text(f"ENTRIES = {json.dumps({'each': entry})[:-1]}}}\n".replace("null", "None"))
    node.configure("alpha", SCHEDULE="entries:ENTRIES", DEFAULTS__POOL="solo")
    strict.declare(strict.definitions())
    try:
        node.start()
        node.wait_for("alpha", lambda queue: queue["succeeded"] >= 2, "runs what is sent")
        assert node.run("check", "magic").returncode == 0
    finally:
        node.close()
        for user in strict.users.values():
            administration.delete_user(node.broker, user)


def test_neither_a_queue_that_is_not_there_nor_what_others_do_to_the_record_stops_the_other_entries(node: Node) -> None:
    later = "'later': {'task': 'alpha', 'schedule': 1, 'args': ['return'], 'options': {'queue': 'later'}}"
    (node.code / "entries.py").write_text(
        f"ENTRIES = {{'each': {{'task': 'alpha', 'schedule': 1, 'args': ['return']}}, {later}}}\n"
    )
    node.configure("alpha", SCHEDULE="entries:ENTRIES", DEFAULTS__POOL="solo")
    node.start()

    def wait_for_two_more() -> None:
        before = node.queue("alpha")["succeeded"]
        node.wait_for("alpha", lambda queue: queue["succeeded"] >= before + 2, "runs what is sent")

    node.wait_until_consuming()
    wait_until(lambda: "Entry later: the queue of later is not there" in node.log.read_text(), 60, "it is told")
    wait_for_two_more()
    with node.broker.connect(node.vhost) as connection:
        connection.channel().queue_declare("later", durable=True, auto_delete=False)
        connection.channel().queue_delete(LEASE)
    wait_until(lambda: node.broker.messages("later", node.vhost) > 0, 60, "what was refused is sent")
    wait_for_two_more()
    with node.broker.connect(node.vhost) as connection:
        for body in ("", "{}", '{"version": 1e400, "by": 1}', "[" * 100_000, "\x00"):
            connection.channel().basic_publish(amqp.Message(body), routing_key=LEASE)
    wait_for_two_more()
    assert node.queue(LEASE)["restarts"] == 0


def test_a_redis_beside_another_broker_is_refused_since_each_would_keep_a_right_of_its_own(project: Project) -> None:
    project.variables["BROKER"] = "redis://127.0.0.1:1/0;redis://127.0.0.1:2/0"
    project.configure(SCHEDULE="app")
    done = project.run("check", "magic")
    assert done.returncode == CONFIGURATION
    assert (
        "its app names several brokers, and a Redis keeps the right to send for itself alone. Name one" in done.stdout
    )
