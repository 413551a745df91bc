"""The ways to get `celery_tasks` into a consumer and a producer: each runs the article's code on a real broker."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.article import ROOT, consuming, printed, result
from tests.environment import environment_with_celery
from tests.node import Node
from tests.rabbitmq import RabbitMQ

LOCAL = ("-c", "protocol.file.allow=always")  # git clones submodules from folders only when it is told to
NEW_CONTRACT = """

class Greet(celery.Task):
    name = "greet"

    def run(self, whom): ...
"""


def git(folder: Path, *arguments: str) -> None:
    identity = ("-c", "user.name=test", "-c", "user.email=test@localhost")
    subprocess.run(["git", "-C", folder, *LOCAL, *identity, *arguments], check=True, capture_output=True)


def pip(python: Path, *arguments: str) -> None:
    """Run our pip for an environment; it fetches nothing, and builds with what is locked in requirements/build.txt."""
    subprocess.run([sys.executable, "-m", "pip", "--python", python, *arguments, "--no-index"], check=True)


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """`celery_tasks/` as a repository of its own."""
    folder = tmp_path / "celery_tasks.git"
    shutil.copytree(ROOT / "celery_tasks", folder, ignore=shutil.ignore_patterns("__pycache__", "*.egg-info", "build"))
    git(folder, "init", "--quiet")
    git(folder, "add", "--all")
    git(folder, "commit", "--quiet", "--message", "Share contracts")
    return folder


@pytest.fixture
def python(tmp_path: Path) -> Path:
    return environment_with_celery(tmp_path / "venv")


@pytest.fixture
def wheel(repository: Path, tmp_path: Path) -> Path:
    pip(Path(sys.executable), "wheel", str(repository), "--no-deps", "--no-build-isolation", "-w", str(tmp_path))
    (wheel,) = tmp_path.glob("celery_tasks-*.whl")
    return wheel


def repositories(folder: Path) -> Sequence[Path]:
    """Make a consumer and a producer as the article has them, each a git repository."""
    made = []
    for name in ("consumer", "producer"):
        (folder / name).mkdir()
        (folder / name / f"{name}.py").write_text(printed(f"{name}.py"))
        git(folder / name, "init", "--quiet")
        made.append(folder / name)
    return made


def answer(broker: RabbitMQ, vhost: str, consumer: Path, producer: Path, python: Path) -> object:
    """Run both in an environment; return what the producer got."""
    with consuming(broker, vhost, consumer, broker.variables(vhost), str(python)):
        return result(producer, broker.variables(vhost), str(python))


def place(python: Path, folder: Path) -> Path:
    """Return where an interpreter that was started in a folder has `celery_tasks` from."""
    code = "import celery_tasks.utils; print(celery_tasks.utils.__file__)"
    done = subprocess.run([python, "-c", code], cwd=folder, check=True, capture_output=True, text=True)
    return Path(done.stdout.strip()).parent


def test_as_a_git_submodule(broker: RabbitMQ, vhost: str, tmp_path: Path, repository: Path, python: Path) -> None:
    consumer, producer = repositories(tmp_path)
    for each in (consumer, producer):
        git(each, "submodule", "add", "--quiet", str(repository), "celery_tasks")
        assert place(python, each) == each / "celery_tasks"
    assert answer(broker, vhost, consumer, producer, python) == 6


def test_as_a_wheel(broker: RabbitMQ, vhost: str, tmp_path: Path, wheel: Path, python: Path) -> None:
    pip(python, "install", "--no-deps", str(wheel))
    consumer, producer = repositories(tmp_path)
    assert "site-packages" in place(python, consumer).parts
    assert answer(broker, vhost, consumer, producer, python) == 6


def test_a_wheel_holds_the_modules_and_nothing_else(wheel: Path) -> None:
    names = [name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name]
    assert sorted(names) == sorted(f"celery_tasks/{path.name}" for path in (ROOT / "celery_tasks").glob("*.py"))


def test_a_wheel_is_built_with_what_is_locked() -> None:
    locked = re.search(r"^setuptools==(\S+)", (ROOT / "requirements/build.txt").read_text(), re.MULTILINE)
    assert locked is not None
    code = "import setuptools; print(setuptools.__version__)"
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stdout.strip() == locked[1]


def test_as_an_editable_install(broker: RabbitMQ, vhost: str, tmp_path: Path, repository: Path, python: Path) -> None:
    pip(python, "install", "--no-deps", "--no-build-isolation", "--editable", str(repository))
    consumer, producer = repositories(tmp_path)
    assert place(python, consumer) == repository
    assert answer(broker, vhost, consumer, producer, python) == 6
    tasks = repository / "tasks.py"
    tasks.write_text(tasks.read_text() + NEW_CONTRACT)
    code = "from celery_tasks.tasks import Greet; from celery_tasks.utils import create_worker_from as c; c(Greet)"
    subprocess.run([python, "-c", code], cwd=tmp_path, check=True)


def test_an_agent_hosts_a_consumer_that_has_it_as_a_wheel(node: Node, wheel: Path, python: Path) -> None:
    pip(python, "install", "--no-deps", str(wheel))
    node.configure("alpha", PYTHON=str(python))
    (node.code / "celery_tasks").unlink()
    node.start()
    node.wait_until_consuming()
    (node.code / "celery_tasks").symlink_to(ROOT / "celery_tasks")  # for the producer
    assert node.send("alpha", "return", 7) == 7
