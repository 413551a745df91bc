"""The ways to name an app: those that `celery -A` takes."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from agent.config.discovery import discover
from agent.guest.spec import TemplateSpec

APP = """
from celery import Celery
{name} = Celery("proj", broker="amqp://guest@localhost//")

@{name}.task(name="add")
def add(a, b):
    return a + b
"""


@pytest.mark.parametrize(
    "name",
    [
        "proj",
        "proj:app",
        "proj.app",
        "other",
        "other:mine",
        "pack",
        "pack:celery_app",
        "pack.celery",
        "pack.celery:app",
        "pack.celery.app",
        "bare",
    ],
)
def test_an_app_is_found_as_celery_finds_it(name: str, tmp_path: Path) -> None:
    (tmp_path / "pack").mkdir()
    (tmp_path / "bare").mkdir()
    for path, source in {
        "proj.py": APP.format(name="app"),
        "other.py": APP.format(name="mine"),
        "pack/__init__.py": "from .celery import app as celery_app\n",
        "pack/celery.py": APP.format(name="app"),
        "bare/__init__.py": "",
        "bare/celery.py": APP.format(name="app"),
    }.items():
        (tmp_path / path).write_text(source)
    template = TemplateSpec(sys.executable, (str(tmp_path),), (), "", name, tuple(sorted(os.environ.items())))
    found = discover(template, (), 30)
    assert found.obstacles == ()
    assert [(queue.name, queue.tasks) for queue in found.queues] == [("celery", ("add",))]
    assert found.broker == "amqp://guest@localhost//"
