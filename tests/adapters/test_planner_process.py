"""The planner as a process: it is heard, bounded, and ended with everything that it started."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from selectors import BaseSelector

import psutil
import pytest

from agent.decide.plan import Plan
from agent.errors import CONFIGURATION, AgentError
from agent.guest.spec import TemplateSpec
from agent.run import planner_process
from agent.run.children import Children
from agent.run.planner_process import PlannerProcess
from tests.adapters.loop import Loop
from tests.node import is_alive
from tests.waiting import wait_until

ROOT = Path(__file__).parents[2]


class Planners:
    """Starts planners, and keeps what they told."""

    def __init__(self, folder: Path, children: Children, selector: BaseSelector) -> None:
        self.templates: list[TemplateSpec] = []
        self.ends: list[Plan | AgentError] = []
        self.env_file = folder / "magic.env"
        self._parts = (children, selector)

    def start(self, on_template: Callable[[TemplateSpec], None] | None = None) -> PlannerProcess:
        children, selector = self._parts
        with (self.env_file.parent / "code").open("wb") as code:
            on_template = on_template or self.templates.append
            return PlannerProcess(
                "magic", self.env_file, children, selector, code.fileno(), on_template, self.ends.append
            )


@pytest.fixture
def planners(tmp_path: Path, children: Children, selector: BaseSelector) -> Planners:
    return Planners(tmp_path, children, selector)


def hanging(folder: Path) -> str:
    """Return an interpreter that never comes so far as to run the agent's code."""
    python = folder / "python"
    python.write_text("#!/bin/sh\nexec sleep 3600\n")
    python.chmod(0o755)
    return str(python)


def printing(monkeypatch: pytest.MonkeyPatch, folder: Path, *lines: object) -> None:
    """Have the next planner be a program that prints these lines, as JSON unless they are bytes."""
    program = folder / "prints"
    text = b"".join((line if isinstance(line, bytes) else json.dumps(line).encode()) + b"\n" for line in lines)
    (folder / "lines").write_bytes(text)
    program.write_text(f"#!/bin/sh\ncat {folder}/lines\n")
    program.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(program))


def test_a_file_that_is_not_there_is_told_with_its_exit_status(planners: Planners, loop: Loop) -> None:
    planners.start()
    (end,) = loop.until(lambda: planners.ends)
    assert isinstance(end, AgentError)
    assert str(planners.env_file) in str(end)
    assert end.exit_status == CONFIGURATION


def test_the_template_is_told_while_user_code_is_still_imported(planners: Planners, loop: Loop, tmp_path: Path) -> None:
    planners.env_file.write_text(f"CELERY_AGENT_TASKS=a:A\nCELERY_AGENT_PYTHON={hanging(tmp_path)}\n")
    planner = planners.start()
    (template,) = loop.until(lambda: planners.templates)
    assert template.python == hanging(tmp_path)
    assert not planners.ends
    planner.close()


def test_a_planner_and_what_imports_for_it_end_when_it_is_closed(
    planners: Planners, loop: Loop, children: Children, tmp_path: Path
) -> None:
    planners.env_file.write_text(f"CELERY_AGENT_TASKS=a:A\nCELERY_AGENT_PYTHON={hanging(tmp_path)}\n")
    planner = planners.start()
    (importing,) = loop.until(lambda: psutil.Process(planner.pid).children())
    planner.close()
    loop.until(lambda: planner.pid not in children, what="the planner's end")
    loop.until(lambda: not is_alive(importing.pid), what="the end of what imports")
    assert not planners.ends


def test_what_imports_for_a_planner_ends_with_it_however_it_ends(
    planners: Planners, loop: Loop, children: Children, tmp_path: Path
) -> None:
    planners.env_file.write_text(f"CELERY_AGENT_TASKS=a:A\nCELERY_AGENT_PYTHON={hanging(tmp_path)}\n")
    planner = planners.start()
    (importing,) = loop.until(lambda: psutil.Process(planner.pid).children())
    psutil.Process(planner.pid).kill()
    loop.until(lambda: planners.ends)
    loop.until(lambda: not is_alive(importing.pid), what="the end of what imports")


def test_a_planner_that_is_given_up_is_ended_and_told_at_once(
    planners: Planners, loop: Loop, children: Children, tmp_path: Path
) -> None:
    planners.env_file.write_text(f"CELERY_AGENT_TASKS=a:A\nCELERY_AGENT_PYTHON={hanging(tmp_path)}\n")
    planner = planners.start()
    planner.give_up()
    (end,) = planners.ends
    assert f"more than {planner_process.DEADLINE:g} s" in str(end)
    loop.until(lambda: planner.pid not in children, what="the planner's end")
    assert len(planners.ends) == 1


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"[" * 100_000,
        b"\xff",
        {"plan": {}},
        {"template": {"python": 3}},
        {"error": {"message": "no status"}},
        {"what": "is this"},
    ],
)
def test_a_line_that_can_not_be_understood_is_told(
    planners: Planners, loop: Loop, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, line: object
) -> None:
    printing(monkeypatch, tmp_path, line)
    planners.start()
    (end,) = loop.until(lambda: planners.ends)
    assert "the planner can't be understood" in str(end)


def test_a_planner_that_prints_nothing_is_told(
    planners: Planners, loop: Loop, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    printing(monkeypatch, tmp_path)
    planners.start()
    (end,) = loop.until(lambda: planners.ends)
    assert "ended without a plan (exit status 0)" in str(end)


def test_a_fault_in_what_is_called_back_is_not_the_planners(
    planners: Planners, loop: Loop, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def fail(spec: TemplateSpec) -> None:
        raise ValueError("a fault of the daemon")

    printing(monkeypatch, tmp_path, {"template": asdict(TemplateSpec("/usr/bin/python3"))})
    planners.start(fail)
    with pytest.raises(ValueError, match="a fault of the daemon"):
        loop.until(lambda: planners.ends)


def test_a_planner_that_can_not_be_run_is_an_end_like_others(
    planners: Planners, loop: Loop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "executable", "/nowhere/python")
    before = set(os.listdir("/proc/self/fd"))
    planners.start()
    (end,) = loop.until(lambda: planners.ends)
    assert str(end) == "the planner ended without a plan (exit status 127)"
    assert set(os.listdir("/proc/self/fd")) == before


def test_a_planner_ends_with_the_agent_however_that_ends(tmp_path: Path) -> None:
    env_file = tmp_path / "magic.env"
    env_file.write_text(f"CELERY_AGENT_TASKS=a:A\nCELERY_AGENT_PYTHON={hanging(tmp_path)}\n")
    command = f"{sys.executable} -m agent.config.planner --instance magic --env-file {env_file}"
    with psutil.Popen(["sh", "-c", f"{command} & wait"], cwd=ROOT, stdout=subprocess.DEVNULL) as shell:
        wait_until(lambda: len(shell.children(recursive=True)) == 2, what="the planner and what imports")
        below = shell.children(recursive=True)
        shell.kill()
    wait_until(lambda: not any(is_alive(each.pid) for each in below), what="the end of the planner and what imports")
