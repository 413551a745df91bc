"""The article's code, as printed, on a real broker."""

from __future__ import annotations

import inspect
import json
import os
import re
import runpy
import subprocess
import sys
from pathlib import Path
from typing import Any

import celery
import pytest

from celery_tasks import tasks, utils
from tests.rabbitmq import RabbitMQ
from tests.waiting import wait_until

ROOT = Path(__file__).parents[2]
QUEUE = "unique_magic_task"


def printed(name: str) -> str:
    """Return what the article prints under a name."""
    text = (Path(__file__).parent / "article.md").read_text()
    found = re.search(rf"^## {re.escape(name)}\n\n```\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    assert found is not None
    return found[1]


def executed(folder: Path, name: str) -> dict[str, Any]:
    """Return what a printed module defines."""
    (folder / name).write_text(printed(name))
    return runpy.run_path(str(folder / name), {"celery": celery})  # utils.py is printed without its imports


def lay_out(folder: Path) -> Path:
    """Write consumer and producer as repositories that have `celery_tasks` as a submodule; return their folder."""
    for name in ("consumer", "producer"):
        (folder / name).mkdir()
        (folder / name / "celery_tasks").symlink_to(ROOT / "celery_tasks")
        (folder / name / f"{name}.py").write_text(printed(f"{name}.py"))
    return folder


def produce_and_consume(folder: Path, broker: RabbitMQ, vhost: str, **variables: str) -> Any:
    """Run the printed consumer, then the printed producer; return the producer's `result`."""
    environment = {**os.environ, **broker.variables(vhost), **variables}
    log = folder / "consumer.log"
    with log.open("wb") as output:
        consumer = subprocess.Popen(
            [sys.executable, "consumer.py"], cwd=folder / "consumer", env=environment, stdout=output, stderr=output
        )
    try:
        wait_until(lambda: broker.consumers(QUEUE, vhost) == 1 or consumer.poll() is not None, 60, "a consumer")
        assert consumer.poll() is None, log.read_text()
        done = subprocess.run(
            [sys.executable, "-c", "import json, producer; print(json.dumps(producer.result))"],
            cwd=folder / "producer",
            env=environment,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)
    finally:
        consumer.terminate()
        assert consumer.wait(60) == 0


@pytest.mark.parametrize("profile", ["safe", "article"])
def test_consumer_and_producer_run_as_printed(broker: RabbitMQ, vhost: str, tmp_path: Path, profile: str) -> None:
    assert produce_and_consume(lay_out(tmp_path), broker, vhost, CELERY_TASKS_DELIVERY=profile) == 6


def test_the_printed_settings_can_be_used_in_place_of_ours(broker: RabbitMQ, tmp_path: Path) -> None:
    lay_out(tmp_path)
    for name in ("consumer", "producer"):
        (tmp_path / name / "printed_config.py").write_text(printed("celery_config.py"))
        code = printed(f"{name}.py").replace("(MagicCeleryTask)\n\n#", "(MagicCeleryTask, 'printed_config')\n\n#")
        assert "'printed_config'" in code
        (tmp_path / name / f"{name}.py").write_text(code)
    try:
        assert produce_and_consume(tmp_path, broker, "/") == 6  # they know no other vhost
    finally:
        broker.control("delete_queue", QUEUE)


def test_the_printed_contract_is_ours(tmp_path: Path) -> None:
    theirs, ours = executed(tmp_path, "tasks.py")["MagicCeleryTask"], tasks.MagicCeleryTask
    assert (ours.__name__, ours.name) == (theirs.__name__, theirs.name)
    assert inspect.signature(ours.run) == inspect.signature(theirs.run)
    assert inspect.getdoc(ours.run) == inspect.getdoc(theirs.run)


def test_the_printed_create_worker_from_takes_and_gives_what_ours_does(tmp_path: Path) -> None:
    theirs, ours = executed(tmp_path, "utils.py")["create_worker_from"], utils.create_worker_from
    assert inspect.signature(ours) == inspect.signature(theirs)
    config = "celery.app.defaults"  # any module will do
    ((their_app, their_task), (our_app, our_task)) = (each(tasks.SleepTask, config) for each in (theirs, ours))
    assert isinstance(our_app, type(their_app))
    assert our_task.name == their_task.name
    assert our_app.conf.task_default_queue == their_app.conf.task_default_queue == "sleep"
