"""What many a project does while it is loaded: it silences loggers, and leaves connections in the pools of libraries."""

from __future__ import annotations

import pytest

from tests.projects import Project
from tests.redis import Redis

SOURCE = """
import os
from celery import Celery

app = Celery("proj", broker=os.environ["BROKER"], backend="rpc://")

@app.task(name="pid")
def pid():
    return os.getppid()

@app.task(name="fail")
def fail():
    raise ValueError("of the task")
"""
# `disable_existing_loggers` is true where it is not said.
SILENCES = "import logging.config\nlogging.config.dictConfig({'version': 1})\n"
# Connected by a function that loading calls, not by an import; a module is imported afterwards.
KEEPS = """
import redis
cache = redis.Redis.from_url(os.environ["CACHE"])

@app.on_after_finalize.connect
def look(sender, **kwargs):
    cache.set("loaded", "yes")
    import wsgiref.util

@app.task(name="cached")
def cached():
    return [cache.get("loaded").decode(), os.getppid()]
"""
# The same by a function of another module of the project, which keeps what it has opened.
OPENS = """
import os, socket

def connect(**kwargs):
    global connection
    connection = socket.create_connection(("127.0.0.1", int(os.environ["PORT"])))
    import wsgiref.util
"""


def start(project: Project, more: str, **settings: str) -> None:
    """Start the agent with the small app and more of its module."""
    (project.code / "proj.py").write_text(SOURCE + more)
    project.configure(DEFAULTS__LOG_LEVEL="INFO", **settings)
    project.start()
    project.wait_until_consuming()


@pytest.mark.parametrize("preload", ["", "proj"])
def test_a_project_that_disables_the_loggers_there_are_has_its_workers_logged(project: Project, preload: str) -> None:
    start(project, SILENCES, **({"PRELOAD": preload} if preload else {}))
    project.python("from proj import fail, pid\nfail.delay().get(timeout=30, propagate=False)\nvalue = 1")
    log = project.log.read_text()
    assert "Task fail[" in log
    assert "ValueError: of the task" in log


def test_a_connection_that_a_pool_opens_again_does_not_keep_an_app_from_being_preloaded(
    project: Project, redis_server: Redis
) -> None:
    project.variables["CACHE"] = redis_server.url
    start(project, KEEPS, PRELOAD="proj")
    assert project.run("check", "magic").returncode == 0
    found = project.python("from proj import cached\nvalue = [cached.delay().get(timeout=30) for _ in range(2)]")
    assert found == [["yes", project.pids()["celery"]]] * 2


def test_a_connection_that_a_function_opens_is_laid_to_its_module(project: Project, redis_server: Redis) -> None:
    package = project.code / "shop"
    package.mkdir()
    (package / "side.py").write_text(OPENS)
    source = "from shop import side\napp.on_after_finalize.connect(side.connect)\n"
    (package / "__init__.py").write_text(SOURCE + source)
    project.app = "shop:app"
    project.variables["PORT"] = str(redis_server.port)
    project.configure(PRELOAD="shop")
    said = project.run("check", "magic").stdout
    opened = f"importing it opens a connection to 127.0.0.1:{redis_server.port}, which the forked workers would all use"
    assert f"CELERY_AGENT_PRELOAD names 'shop', but {opened}" in said
    assert "It is done by shop.side." in said
