"""Input that is wrong in one place, and the commands that it is given to."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

GOOD = """
from celery_tasks.tasks import MagicCeleryTask

class ActualMagicCeleryTask(MagicCeleryTask):
    def run(self, arg1, arg2, arg3):
        return arg1 + arg2 + arg3
"""
TASKS = "CELERY_AGENT_TASKS=consumer:ActualMagicCeleryTask"


@dataclass(frozen=True)
class Case:
    """One thing that is wrong.

    name: what.
    lines: of the env file, where {code} is the folder that is on the path, and {python} the interpreter.
    line: what must be said, where {env} is the env file.
    modules: source by file name, in the folder {code}.
    """

    name: str
    lines: tuple[str, ...]
    line: str
    modules: dict[str, str] = field(default_factory=dict)


def write(case: Case, folder: Path) -> tuple[Path, str]:
    """Write a case's files into a folder; return the env file and the line that must be said of it."""
    code = folder / "code"
    code.mkdir()
    for name, source in {"consumer.py": GOOD, **case.modules}.items():
        (code / name).write_text(source)
    env_file = folder / "magic.env"
    places = {"code": str(code), "python": sys.executable, "env": str(env_file)}
    lines = [f"CELERY_AGENT_PATH={code}", *(line.format(**places) for line in case.lines)]
    env_file.write_text("\n".join(lines) + "\n")
    return env_file, case.line.format(**places)


def environment(folder: Path) -> dict[str, str]:
    """Return an environment in which all folders of the agent are below a temporary one."""
    return {
        **os.environ,
        "CELERY_AGENT_CONFIG_DIR": str(folder),
        "CELERY_AGENT_RUNTIME_DIR": str(folder / "run"),
    }


def python(*command: str, folder: Path, prefix: list[str] | None = None) -> subprocess.CompletedProcess[str]:
    """Run Python with the agent's folders below a temporary one."""
    return subprocess.run(
        [*(prefix or []), sys.executable, *command],
        env=environment(folder),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        stdin=subprocess.DEVNULL,
    )


def agent(*command: str, folder: Path, prefix: list[str] | None = None) -> subprocess.CompletedProcess[str]:
    return python("-m", "agent.cli.main", *command, folder=folder, prefix=prefix)
