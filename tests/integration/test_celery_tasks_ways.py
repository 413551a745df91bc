"""The ways to get a shared repository and the library into a consumer and a producer: each runs the article's code."""

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
FILES = ("README.md", "celery_config.py", "pyproject.toml", "rabbitmq_config.py", "tasks.py", "utils.py")
# Modules of the library that nobody but itself imports, and their names in a release to come.
RENAMED = {  # no agent imports these
    "sending.reply_queues": "sending.mailboxes",
    "sending.pools": "sending.lines",
    "results.tolerant": "results.lenient",
    "worker.writes": "worker.whole",
    "worker.heart": "worker.beat",
    "worker.incoming": "worker.arrivals",
}
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
    """A shared repository of its own: what a user edits, and no other file."""
    folder = tmp_path / "celery_tasks.git"
    folder.mkdir()
    for name in FILES:
        shutil.copy(ROOT / "celery_tasks" / name, folder)
    git(folder, "init", "--quiet")
    git(folder, "add", "--all")
    git(folder, "commit", "--quiet", "--message", "Share contracts")
    return folder


def build(folder: Path, into: Path) -> Path:
    """Build the wheel of a folder; return it."""
    before = set(into.glob("*.whl"))
    pip(Path(sys.executable), "wheel", str(folder), "--no-deps", "--no-build-isolation", "-w", str(into))
    (made,) = set(into.glob("*.whl")) - before
    return made


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """The library's source, to be built or changed."""
    folder = tmp_path / "celery_delivery.git"
    shutil.copytree(
        ROOT / "celery_delivery", folder, ignore=shutil.ignore_patterns("__pycache__", "*.egg-info", "build")
    )
    return folder


@pytest.fixture
def library(source: Path, tmp_path: Path) -> Path:
    return build(source, tmp_path)


@pytest.fixture
def python(tmp_path: Path, library: Path) -> Path:
    """An environment with Celery, and the library from its wheel."""
    made = environment_with_celery(tmp_path / "venv")
    (link,) = (tmp_path / "venv").glob("lib/python3*/site-packages/celery_delivery")
    link.unlink()
    pip(made, "install", "--no-deps", str(library))
    return made


@pytest.fixture
def wheel(repository: Path, tmp_path: Path) -> Path:
    return build(repository, tmp_path)


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


def holds(wheel: Path) -> set[str]:
    """Return what a wheel puts into an environment."""
    return {name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name}


def test_a_wheel_of_contracts_holds_their_modules_and_nothing_else(wheel: Path) -> None:
    assert holds(wheel) == {f"celery_tasks/{name}" for name in FILES if name.endswith(".py")}


def test_the_library_s_wheel_holds_its_modules_and_nothing_else(library: Path) -> None:
    modules = {str(path.relative_to(ROOT)) for path in (ROOT / "celery_delivery").rglob("*.py")}
    assert holds(library) == {*modules, "celery_delivery/py.typed"}


def test_a_shared_repository_is_about_a_hundred_lines_of_code() -> None:
    texts = [(ROOT / "celery_tasks" / name).read_text() for name in FILES if name.endswith(".py")]
    assert sum(len(text.splitlines()) for text in texts) <= 120
    files = {path.name for path in (ROOT / "celery_tasks").iterdir() if path.is_file()}
    assert files == {*FILES, "__init__.py", "py.typed", ".gitignore"}


def renamed(source: Path) -> Path:
    """Make a release of the library whose interface is the same, and whose inside is not; return its source."""
    shutil.rmtree(source / "build")  # of the release before
    for before, after in RENAMED.items():
        source.joinpath(*before.split(".")).with_suffix(".py").rename(
            source.joinpath(*after.split(".")).with_suffix(".py")
        )
    for path in source.rglob("*.py"):
        text = path.read_text()
        for before, after in RENAMED.items():
            folder, _, name = before.partition(".")
            new = after.partition(".")[2]
            text = text.replace(f"celery_delivery.{before}", f"celery_delivery.{after}")
            text = re.sub(rf"(from celery_delivery\.{folder} import .*)\b{name}\b", rf"\1{new} as {name}", text)
        path.write_text(text)
    project = source / "pyproject.toml"
    project.write_text(project.read_text().replace('version = "0.1.0"', 'version = "0.1.1"'))
    return source


def test_a_new_release_of_the_library_needs_no_change_of_the_shared_repository(
    node: Node, vhost: str, tmp_path: Path, source: Path, repository: Path, python: Path
) -> None:
    broker = node.broker
    consumer, producer = repositories(tmp_path)
    for each in (consumer, producer):
        git(each, "submodule", "add", "--quiet", str(repository), "celery_tasks")
    assert answer(broker, vhost, consumer, producer, python) == 6
    upgrade = build(renamed(source), tmp_path)
    assert not holds(upgrade) & {f"celery_delivery/{name.replace('.', '/')}.py" for name in RENAMED}
    pip(python, "install", "--no-deps", "--upgrade", str(upgrade))
    assert answer(broker, vhost, consumer, producer, python) == 6
    hosts(node, python, consumer)


def hosts(node: Node, python: Path, consumer: Path) -> None:
    """Have an agent host a consumer that is a repository with its contracts; a producer of the same folder gets its answer."""
    (node.code / "celery_tasks").unlink()
    (node.code / "celery_tasks").symlink_to(consumer / "celery_tasks")
    node.configure("alpha", PYTHON=str(python))
    node.start()
    node.wait_until_consuming()
    assert node.send("alpha", "return", 7) == 7


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


def test_an_agent_hosts_a_consumer_that_has_it_as_a_submodule(
    node: Node, tmp_path: Path, repository: Path, python: Path
) -> None:
    consumer, _ = repositories(tmp_path)
    git(consumer, "submodule", "add", "--quiet", str(repository), "celery_tasks")
    hosts(node, python, consumer)


def test_an_agent_hosts_a_consumer_that_has_it_as_a_wheel(node: Node, wheel: Path, python: Path) -> None:
    pip(python, "install", "--no-deps", str(wheel))
    node.configure("alpha", PYTHON=str(python))
    (node.code / "celery_tasks").unlink()
    node.start()
    node.wait_until_consuming()
    (node.code / "celery_tasks").symlink_to(ROOT / "celery_tasks")  # for the producer
    assert node.send("alpha", "return", 7) == 7
