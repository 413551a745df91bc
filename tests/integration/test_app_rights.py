"""The rights that `agent topology` gives an app's users: all that Celery does with them works, and none of others."""

from __future__ import annotations

import json
from pathlib import Path

import amqp
import pytest

from tests import administration
from tests.projects import Project

SOURCE = """
import os
from celery import Celery
from kombu import Exchange, Queue
from kombu.common import Broadcast

app = Celery("proj", broker=os.environ["BROKER"], backend="rpc://")
app.conf.update(worker_send_task_events=True, task_send_sent_event=True)
app.conf.task_queues = [
    Queue("celery"),
    Queue("safe", queue_arguments={"x-queue-type": "quorum", "x-dead-letter-exchange": "dead"}),
    Queue("logs", Exchange("topics", "topic"), "log.#"),
    Broadcast("everywhere"),
]
app.conf.task_routes = {"logged": {"exchange": "topics", "routing_key": "log.mail"}, "told": {"queue": "everywhere"}}

@app.task(name="add", bind=True, max_retries=1)
def add(self, a, b):
    if self.request.retries < b:
        raise self.retry(countdown=1)
    return a + b

@app.task(name="sends")
def sends():
    return [add.apply_async((1, 0), queue=each).id for each in ("celery", "safe")]

@app.task(name="logged")
def logged():
    return "logged"

@app.task(name="told")
def told():
    return "told"
"""
USED = """
from proj import app, add, logged, sends, told
value = [
    add.delay(1, 1).get(timeout=60),
    add.apply_async((2, 0), queue="safe", countdown=2).get(timeout=60),
    logged.delay().get(timeout=60),
    told.delay().get(timeout=60),
    len(sends.delay().get(timeout=60)),
]
"""


@pytest.fixture
def project(project: Project) -> Project:
    (project.code / "proj.py").write_text(SOURCE)
    return project


def as_user(project: Project, user: str) -> None:
    """Have the project work as a user of the broker."""
    project.variables["BROKER"] = project.url.replace("guest:guest", f"{user}:secret")


def is_refused(project: Project, user: str, queue: str) -> bool:
    """Say whether a user may not read a queue."""
    where = f"{project.broker.host}:{project.broker.port}"
    with amqp.Connection(where, userid=user, password="secret", virtual_host=project.vhost) as connection:
        connection.connect()
        try:
            connection.channel().basic_get(queue)
        except amqp.exceptions.AccessRefused:
            return True
    return False


def test_all_that_an_app_does_works_with_the_rights_that_are_printed_and_no_others(
    project: Project, tmp_path: Path
) -> None:
    node, producer = f"node-{project.vhost}", f"web-{project.vhost}"
    (tmp_path / "password").write_text("secret")
    as_user(project, node)
    project.configure()
    passwords = [f"--password-file={user}={tmp_path / 'password'}" for user in (node, producer)]
    done = project.run("topology", "magic", "--definitions", "--producer", producer, *passwords)
    assert f"leads to every queue of the vhost {project.vhost}. Have no other instance use that vhost." in done.stderr
    (tmp_path / "definitions.json").write_text(done.stdout)
    project.broker.control("import_definitions", str(tmp_path / "definitions.json"))
    try:
        project.start()
        project.wait_until_consuming()
        as_user(project, producer)
        assert project.python(USED) == [2, 2, "logged", "told", 2]
        as_user(project, node)
        assert project.python("from proj import app\nvalue = len(app.control.ping(timeout=3))") == 4
        log = project.log.read_text()
        assert "ACCESS_REFUSED" not in log
        assert "refused" not in log
        with project.broker.connect(project.vhost) as connection:
            connection.channel().queue_declare("of_others")
        assert is_refused(project, node, "of_others")
    finally:
        project.close()
        for user in (node, producer):
            administration.delete_user(project.broker, user)


def test_the_tables_say_who_declares(project: Project) -> None:
    project.configure()
    done = project.run("topology", "magic")
    assert f"magic: vhost {project.vhost}; its app declares its queues itself" in done.stdout
    assert "everywhere" in done.stdout


def test_an_app_on_a_redis_has_no_rights_to_give(project: Project) -> None:
    project.variables["BROKER"] = "redis://localhost:1/0"  # nothing is sent
    project.configure()
    done = project.run("topology", "magic", "--definitions")
    assert json.loads(done.stdout)["permissions"] == []
    assert (done.returncode, done.stderr) == (0, "")
