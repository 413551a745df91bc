"""What a type checker says of contracts, producers and consumers: the code of docs/typing.md, and more of the kind."""

import re
import shutil
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/typing.md").read_text()

MORE = """
from datetime import datetime

import celery
from celery_delivery.contract.typed import TypedTask
from celery_tasks.tasks import CountWordsTask, MagicCeleryTask, SleepTask
from celery_tasks.utils import create_worker_from


class Charge(TypedTask):
    name = "charge"
    queue = "payments"

    def run(self, order: int, when: datetime, *items: str, note: str | None = None) -> bool:
        raise NotImplementedError


class Book(Charge):
    def run(self, order: int, when: datetime, *items: str, note: str | None = None) -> bool:
        return self.request.retries == 0 and bool(self.app.conf)


class Misfit(Charge):
    def run(self, order: str) -> bool:  # error
        return True


class Renamed(SleepTask):
    def run(self, time: float, extra: int) -> float:  # error
        return time


app, charge = create_worker_from(Charge)
_, sleep = create_worker_from(SleepTask, "celery_tasks.celery_config")
_, magic = create_worker_from(MagicCeleryTask)

magic.delay(1, 2, 3).get(timeout=5)
charge.delay(1, datetime.now(), "a", "b", note="n")
charge.delay(1, datetime.now(), "a", 2)  # error
charge.delay(1, "today")  # error
charge.delay(1, datetime.now(), note=3)  # error
charge.si(1, datetime.now()).set(countdown=3).apply_async().id
charge.si(datetime.now())  # error
charge.s(datetime.now())
charge.s(1, datetime.now())
charge.s("today")  # error
charge.s(1, datetime.now(), remark="")  # error
charge.apply_async((1, datetime.now()), {"note": "x"}, countdown=3, queue="other").ready()
charge.apply_async(1)  # error
Book()(1, datetime.now()).real
Book()(1)  # error
slept: float = sleep.apply_async([0.1]).get()
text: str = sleep.delay(0.1).get()  # error
state: str = sleep.delay(0.1).state


async def main() -> float:
    result = await sleep.adelay("long")  # error
    text: str = await result.aget(timeout=5)  # error
    return await (await sleep.s(0.1).aapply_async(countdown=1)).aget()


number: int = sleep.delay(0.1).id  # error
flow = celery.chain(CountWordsTask().s("a"), sleep.s()) | sleep.si(1.0)
flow.delay()
celery.group(sleep.s(1.0) for _ in range(3))()
(sleep.s(1.0) | sleep.s()).apply_async()
create_worker_from(3)  # error
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A folder with the code of the page and its settings of mypy, and an environment that both packages are installed in."""
    for name, code in re.findall(r"^```python\n# (?:a )?(.*?)\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL):
        (tmp_path / f"{name.replace('/', '_').removesuffix('.py')}.py").write_text(code)
    (tmp_path / "more.py").write_text(MORE)
    (settings,) = re.findall(r"^```toml\n# pyproject.toml\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
    (tmp_path / "pyproject.toml").write_text(
        settings + '[tool.basedpyright]\ntypeCheckingMode = "standard"\nvenv = ".venv"\n'
    )
    venv.create(tmp_path / ".venv")
    (site,) = (tmp_path / ".venv").glob("lib/python*/site-packages")
    for package in ("celery_delivery", "celery_tasks"):
        shutil.copytree(
            ROOT / package, site / package, ignore=shutil.ignore_patterns("__pycache__", "*.egg-info", "build")
        )
    (site / "celery.pth").write_text(f"{sysconfig.get_path('purelib')}\n")
    return tmp_path


def meant(project: Path) -> set[tuple[str, int]]:
    """Return where an error is to be: names of files, and lines."""
    return {
        (each.name, number)
        for each in project.glob("*.py")
        for number, line in enumerate(each.read_text().splitlines(), 1)
        if line.endswith("# error")
    }


def said(project: Path, *command: str) -> tuple[set[tuple[str, int]], str]:
    """Return where a checker says there is an error, and all that it says."""
    done = subprocess.run(
        [sys.executable, "-m", *command, "."],
        cwd=project,
        env={"PATH": "/usr/bin:/bin", "HOME": str(project)},
        capture_output=True,
        text=True,
        check=False,
    )
    lines = re.findall(r"([a-z_]+\.py):(\d+)(?::\d+)?(?: -)?:? error", done.stdout)
    return {(name, int(number)) for name, number in lines}, done.stdout + done.stderr


@pytest.mark.parametrize(
    "command",
    [
        ("mypy", "--python-executable", ".venv/bin/python"),
        ("mypy", "--python-executable", ".venv/bin/python", "--strict"),
        ("basedpyright", "--pythonpath", ".venv/bin/python"),
    ],
    ids=["mypy", "mypy, strictly", "pyright"],
)
def test_what_is_wrong_is_marked_and_nothing_else(project: Path, command: tuple[str, ...]) -> None:
    errors, output = said(project, *command)
    assert errors == meant(project), output
