"""Decorated tasks that are named one by one: their queues are hosted by their app."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.environment import environment_with_celery
from tests.projects import Project

CELERY = """
import os
from celery import Celery
app = Celery("proj", broker=os.environ["BROKER"], backend="rpc://")
app.conf.task_routes = {"add": "sums", "proj.tasks.twice": "sums", "say": "words", "proj.more.*": "more"}
"""
TASKS = """
from celery import current_app, shared_task
from proj.celery import app

@app.task(name="add")
def add(a, b):
    return a + b

@shared_task(bind=True)
def twice(self, a):
    return [2 * a, self.app.main]

@app.task(name="say")
def say():
    return "word"
"""
MORE = """
from celery import shared_task

@shared_task
def more():
    return "more"
"""
SENT = """
from proj.celery import app
import proj.tasks
value = [app.send_task(name, args).get(timeout=60) for name, args in [("add", (1, 2)), ("proj.tasks.twice", (3,))]]
"""


@pytest.fixture
def project(project: Project) -> Project:
    package = project.code / "proj"
    package.mkdir()
    for name, text in {"__init__": "", "celery": CELERY, "tasks": TASKS, "more": MORE}.items():
        (package / f"{name}.py").write_text(text)
    return project


def name(project: Project, tasks: str, app: str = "", **settings: str) -> None:
    """Write an env file that names tasks, and an app or none."""
    project.app = app
    project.configure(TASKS=tasks, **settings)


def test_the_queues_of_decorated_tasks_are_hosted_by_their_app_beside_those_of_contracts(project: Project) -> None:
    project.variables |= project.broker.variables(project.vhost)
    name(project, "greek:Alpha,proj.tasks:add,proj.tasks:twice")
    checked = project.run("check", "magic").stdout
    assert "magic: ok    queue     sums: add, proj.tasks.twice (prefork, " in checked
    assert "FAIL" not in checked
    project.start()
    project.wait_until_consuming()
    before = project.pids()
    assert sorted(before) == ["alpha", "sums"]
    assert project.send("alpha", "return", 7) == 7
    assert project.python(SENT) == [3, [6, "proj"]]
    assert "app proj.tasks:add,proj.tasks:twice as its project made it" in project.run("status", "magic").stdout
    name(project, "greek:Alpha,proj.tasks:add,proj.tasks:twice,proj.tasks:say")
    assert project.run("reload", "magic").returncode == 0
    project.wait_until_consuming()
    assert {queue: pid for queue, pid in project.pids().items() if queue != "words"} == before
    assert project.python("from proj.tasks import say\nvalue = say.delay().get(timeout=60)") == "word"


def test_shared_tasks_of_a_module_that_makes_no_app_belong_to_the_app_that_is_named(project: Project) -> None:
    name(project, "proj.more:more", app="proj.celery:app")
    checked = project.run("check", "magic").stdout
    assert "magic: ok    queue     more: proj.more.more (prefork, " in checked
    assert "magic: ok    queue     celery: what proj.celery:app sends there by name" in checked
    project.start()
    project.wait_until_consuming()
    assert sorted(project.pids()) == ["celery", "more"]
    sent = "from proj.celery import app\nvalue = app.send_task('proj.more.more', queue='more').get(timeout=60)"
    assert project.python(sent) == "more"


def test_the_project_s_interpreter_needs_neither_contracts_nor_our_library(project: Project, tmp_path: Path) -> None:
    python = environment_with_celery(tmp_path / "venv")
    (library,) = python.parents[1].glob("lib/python3*/site-packages/celery_delivery")
    library.unlink()
    (project.code / "celery_tasks").unlink()
    name(project, "proj.tasks:say", PYTHON=str(python), PRELOAD="proj.tasks")
    project.start()
    project.wait_until_consuming()
    assert project.python("from proj.tasks import say\nvalue = say.delay().get(timeout=60)") == "word"
