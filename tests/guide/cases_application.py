"""The chapter Application."""

import celery
from celery import current_app

from celery_delivery.apps import create_app_from
from tests.guide import right
from tests.guide.decorated import plain as decorated_task
from tests.guide.fleet import SETTINGS, Fleet, refused
from tests.guide.rows import of
from tests.guide.shared import tasks as contracts

row = of("Application")


@row("an app, Celery(…)")
def an_app(fleet: Fleet) -> None:
    app = create_app_from([contracts.TwiceTask], SETTINGS)
    assert isinstance(app, celery.Celery)
    assert app.tasks["twice"].delay(4).get(timeout=60) == 8


@row("config_from_object, app.conf")
def configuration(fleet: Fleet) -> None:
    assert fleet.app.conf.task_serializer == "json"
    assert fleet.app.conf.result_extended
    app = create_app_from([contracts.TwiceTask], SETTINGS)
    app.conf.update(task_always_eager=True)
    assert create_app_from([right.Twice], SETTINGS).conf.task_always_eager is False


@row("app.conf.humanize(), without secrets")
def censored(fleet: Fleet) -> None:
    said = fleet.app.conf.humanize(with_defaults=False, censored=True)
    assert "task_serializer" in said
    assert "guest:guest" not in said


@row("laziness: nothing is opened before it is needed")
def laziness(fleet: Fleet) -> None:
    app = create_app_from([contracts.TwiceTask], SETTINGS)
    assert app._pool is None


@row("abstract tasks, app.Task")
def abstract(fleet: Fleet) -> None:
    assert fleet.get(fleet.s("look", "runs"))["runs"]  # its class has a base without a name
    assert issubclass(fleet.app.Task, celery.Task)


@row("current_app, celery.signature() in the thread that made the app")
def current(fleet: Fleet) -> None:
    app = create_app_from([contracts.TwiceTask], SETTINGS)
    app.set_current()
    assert current_app.conf.result_extended
    assert celery.signature("twice", (4,)).delay().get(timeout=60) == 8


@row("@app.task, @shared_task")
def decorated(fleet: Fleet) -> None:
    said = fleet.check(TASKS="tests.guide.left:Add,tests.guide.decorated:plain")
    assert "plain" in said
    assert "FAIL" not in said, said
    refused(lambda: create_app_from([decorated_task], SETTINGS), "is no task class")
