"""A Flask project with the Celery app that Flask's documentation shows, under the agent."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.projects import Project
from tests.rabbitmq import RabbitMQ

# As "Background Tasks with Celery" of Flask's documentation has them: celery_init_app, an application factory, make_celery.py.
FACTORY = """
from celery import Celery, Task
from flask import Flask

def celery_init_app(app: Flask) -> Celery:
    class FlaskTask(Task):
        def __call__(self, *args: object, **kwargs: object) -> object:
            with app.app_context():
                return self.run(*args, **kwargs)

    celery_app = Celery(app.name, task_cls=FlaskTask)
    celery_app.config_from_object(app.config["CELERY"])
    celery_app.set_default()
    app.extensions["celery"] = celery_app
    return celery_app

def create_app() -> Flask:
    app = Flask(__name__)
    app.config.from_mapping(CELERY=dict(result_backend="rpc://"), GREETING="Hello")
    app.config.from_prefixed_env()
    celery_init_app(app)
    from shop import tasks
    return app
"""
TASKS = """
from celery import shared_task
from flask import current_app

@shared_task(ignore_result=False)
def greet(name: str) -> str:
    return f"{current_app.config['GREETING']} {name}"
"""
MAKE_CELERY = """
from shop import create_app

flask_app = create_app()
celery_app = flask_app.extensions["celery"]
"""


@pytest.mark.parametrize("preload", ["", "make_celery"])
def test_a_flask_project_s_tasks_run_in_its_application_context(
    tmp_path: Path, broker: RabbitMQ, vhost: str, preload: str
) -> None:
    project = Project(tmp_path, broker, vhost)
    (project.code / "shop").mkdir()
    for name, source in {"shop/__init__": FACTORY, "shop/tasks": TASKS, "make_celery": MAKE_CELERY}.items():
        (project.code / f"{name}.py").write_text(source)
    project.app = "make_celery:celery_app"
    project.variables = {"FLASK_CELERY__broker_url": project.url, "FLASK_GREETING": '"Good morning"'}
    project.configure(**({"PRELOAD": preload} if preload else {}))
    try:
        project.start()
        project.wait_until_consuming()
        code = "import make_celery\nfrom shop.tasks import greet\nvalue = greet.delay('Ada').get(timeout=60)"
        assert project.python(code) == "Good morning Ada"
        assert project.queue("celery")["tasks"] == ["shop.tasks.greet"]
        assert project.stop() == 0
    finally:
        project.close()
