"""The article's code, as printed, on a real broker."""

from __future__ import annotations

import inspect
import runpy
from pathlib import Path
from typing import Any

import celery
import pytest

from celery_tasks import tasks, utils
from tests.article import QUEUE, ROOT, consuming, printed, result
from tests.rabbitmq import RabbitMQ

pytestmark = pytest.mark.celery


def lay_out(folder: Path) -> Path:
    """Write consumer and producer, each with `celery_tasks` beside it as a submodule lies there; return the folder."""
    for name in ("consumer", "producer"):
        (folder / name).mkdir()
        (folder / name / "celery_tasks").symlink_to(ROOT / "celery_tasks")
        (folder / name / f"{name}.py").write_text(printed(f"{name}.py"))
    return folder


def executed(folder: Path, name: str) -> dict[str, Any]:
    """Return what a printed module defines."""
    (folder / name).write_text(printed(name))
    return runpy.run_path(str(folder / name), {"celery": celery})  # utils.py is printed without its imports


@pytest.mark.rabbitmq_4
@pytest.mark.parametrize("profile", ["safe", "article"])
def test_consumer_and_producer_run_as_printed(broker: RabbitMQ, vhost: str, tmp_path: Path, profile: str) -> None:
    lay_out(tmp_path)
    variables = {**broker.variables(vhost), "CELERY_TASKS_DELIVERY": profile}
    with consuming(broker, vhost, tmp_path / "consumer", variables):
        assert result(tmp_path / "producer", variables) == 6


def test_the_printed_settings_can_be_used_in_place_of_ours(broker: RabbitMQ, tmp_path: Path) -> None:
    lay_out(tmp_path)
    for name in ("consumer", "producer"):
        (tmp_path / name / "printed_config.py").write_text(printed("celery_config.py"))
        code = printed(f"{name}.py").replace("(MagicCeleryTask)\n\n#", "(MagicCeleryTask, 'printed_config')\n\n#")
        assert "'printed_config'" in code
        (tmp_path / name / f"{name}.py").write_text(code)
    try:
        with consuming(broker, "/", tmp_path / "consumer", broker.variables()):  # they know no other vhost
            assert result(tmp_path / "producer", broker.variables()) == 6
    finally:
        broker.control("delete_queue", QUEUE)


def test_the_printed_contract_is_ours(tmp_path: Path) -> None:
    theirs, ours = executed(tmp_path, "tasks.py")["MagicCeleryTask"], tasks.MagicCeleryTask
    assert (ours.__name__, ours.name) == (theirs.__name__, theirs.name)
    assert inspect.signature(ours.run) == inspect.signature(theirs.run)
    assert inspect.getdoc(ours.run) == inspect.getdoc(theirs.run)


def test_the_printed_create_worker_from_takes_and_gives_what_ours_does(tmp_path: Path) -> None:
    theirs, ours = executed(tmp_path, "utils.py")["create_worker_from"], utils.create_worker_from
    arguments = [(each.name, each.kind, each.default) for each in inspect.signature(theirs).parameters.values()]
    assert [(each.name, each.kind, each.default) for each in inspect.signature(ours).parameters.values()] == arguments
    config = "celery.app.defaults"  # any module will do
    ((their_app, their_task), (our_app, our_task)) = (each(tasks.SleepTask, config) for each in (theirs, ours))
    assert isinstance(our_app, type(their_app))
    assert our_task.name == their_task.name
    assert our_app.conf.task_default_queue == their_app.conf.task_default_queue == "sleep"
