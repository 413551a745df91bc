"""Time limits of an app under the agent: the env file's holds where it sets one, whatever the app's producers send along."""

from __future__ import annotations

import pytest

from tests.projects import Project

SOURCE = """
import os, time
from celery import Celery
app = Celery("proj", broker=os.environ["BROKER"], backend="rpc://")
app.conf.update(task_time_limit=600, task_routes={"wait": "waits", "own": "waits", "free": "free"})

def wait(seconds):
    time.sleep(seconds)
    return seconds

app.task(wait, name="wait")
app.task(wait, name="own", time_limit=300)
app.task(wait, name="free")
"""
OUTCOMES = """
from proj import app
def outcome(*sent, **options):
    try:
        return app.tasks[sent[0]].apply_async(sent[1:], **options).get(timeout=60)
    except Exception as error:
        return f"{type(error).__name__}{error.args}"
value = [outcome("wait", 30), outcome("wait", 30, time_limit=1), outcome("own", 4), outcome("free", 4), outcome("wait", 0)]
"""


@pytest.fixture
def project(project: Project) -> Project:
    (project.code / "proj.py").write_text(SOURCE)
    return project


def test_the_limit_of_the_env_file_wins_over_the_app_s_and_a_task_s_own_over_both(project: Project) -> None:
    project.configure("waits", "free", QUEUES__waits__TIME_LIMIT="2")
    project.start()
    project.wait_until_consuming()
    assert project.python(OUTCOMES) == ["TimeLimitExceeded(2.0,)", "TimeLimitExceeded(1,)", 4, 4, 0]
