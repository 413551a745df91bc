"""CELERY_AGENT_PYTHON names another interpreter than the agent's own: what it lacks is said in one line."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from agent.errors import CONFIGURATION
from tests.environment import ROOT, environment_with_celery
from tests.integration.bad_input import TASKS, Case, python, write


class TestInterpreter:
    """CELERY_AGENT_PYTHON names another interpreter than the agent's own."""

    @pytest.fixture
    def bare(self, tmp_path: Path) -> Path:
        """A virtual environment with nothing in it."""
        subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(tmp_path / "venv")], check=True)
        return tmp_path / "venv"

    @staticmethod
    def site_packages(venv: Path) -> Path:
        return next(venv.glob("lib/python3*/site-packages"))

    @staticmethod
    def said(folder: Path, interpreter: Path) -> str:
        """Return what is said of a consumer that is right except for its interpreter."""
        env_file, _ = write(Case("", (TASKS, f"CELERY_AGENT_PYTHON={interpreter}"), ""), folder)
        result = python("-m", "agent.config.planner", "--instance", "magic", "--env-file", str(env_file), folder=folder)
        assert result.returncode == CONFIGURATION
        prefix = f"{env_file}:3: CELERY_AGENT_PYTHON is '{interpreter}', but "
        message: str = json.loads(result.stdout.splitlines()[-1])["error"]["message"]
        return message.removeprefix(prefix).replace(str(env_file), "{env}")

    def test_without_celery_is_told_how_to_install_it(self, tmp_path: Path, bare: Path) -> None:
        interpreter = bare / "bin" / "python"
        assert (
            self.said(tmp_path, interpreter)
            == f"it has no Celery. Install it: {interpreter} -m pip install 'celery>=5.5'"
        )

    def test_with_an_old_celery_is_told_how_to_install_another(self, tmp_path: Path, bare: Path) -> None:
        old = self.site_packages(bare) / "celery"
        old.mkdir()
        (old / "__init__.py").write_text("__version__ = '5.4.0'\n")
        interpreter = bare / "bin" / "python"
        assert self.said(tmp_path, interpreter) == (
            f"its Celery is 5.4.0, older than 5.5. Install it: {interpreter} -m pip install 'celery>=5.5'"
        )

    def test_with_a_redis_py_is_told_to_have_celery_choose_its_release(self, tmp_path: Path, bare: Path) -> None:
        redis = self.site_packages(bare) / "redis"
        redis.mkdir()
        (redis / "__init__.py").touch()
        interpreter = bare / "bin" / "python"
        assert (
            self.said(tmp_path, interpreter)
            == f"it has no Celery. Install it: {interpreter} -m pip install 'celery[redis]>=5.5'"
        )

    def test_with_a_module_that_is_only_called_celery_is_told_so(self, tmp_path: Path) -> None:
        (tmp_path / "code").mkdir()
        (tmp_path / "code" / "celery.py").touch()
        env_file = tmp_path / "magic.env"
        env_file.write_text(f"{TASKS}\nCELERY_AGENT_PATH={tmp_path}/code\n")
        result = python(
            "-m", "agent.config.planner", "--instance", "magic", "--env-file", str(env_file), folder=tmp_path
        )
        assert (
            f"it imports celery from {tmp_path}/code/celery.py, which is not Celery. Rename that module."
            in result.stdout
        )

    def test_without_celery_tasks_is_told_where_to_put_it(self, tmp_path: Path) -> None:
        interpreter = environment_with_celery(tmp_path / "venv")
        assert self.said(tmp_path, interpreter) == (
            "{env}: CELERY_AGENT_CELERY_CONFIG is 'celery_tasks.celery_config', but there is no module celery_tasks. "
            f"Put the folder that holds celery_tasks into CELERY_AGENT_PATH, or install it for {interpreter}. "
            "Where contracts have another name, say CELERY_AGENT_CELERY_CONFIG=NAME.celery_config."
        )

    @pytest.mark.parametrize(
        ("interface", "said", "option"),
        [
            (None, "it has no celery_delivery. Install it: ", ""),
            ("", "its celery_delivery says no interface, so that it is older than 1. Bring it up: ", "--upgrade "),
            (
                "INTERFACE = 0",
                "its celery_delivery has interface 0, and this agent needs 1. Bring it up: ",
                "--upgrade ",
            ),
            (
                "INTERFACE = 2",
                (
                    "its celery_delivery has interface 2, newer than 1, the newest that this agent knows. "
                    "Upgrade the agent, or install an older one: "
                ),
                "",
            ),
        ],
        ids=["missing", "before there was a number", "too old", "too new"],
    )
    def test_whose_library_does_not_suit_is_told_the_command(
        self, tmp_path: Path, interface: str | None, said: str, option: str
    ) -> None:
        interpreter = environment_with_celery(tmp_path / "venv")
        library = self.site_packages(tmp_path / "venv") / "celery_delivery"
        library.unlink()
        if interface is not None:
            library.mkdir()
            (library / "__init__.py").touch()
        if interface:
            (library / "interface.py").write_text(interface)
        command = f"{interpreter} -m pip install {option}{ROOT / 'celery_delivery'}"
        assert self.said(tmp_path, interpreter) == said + command

    def test_with_a_shared_folder_of_before_the_library_is_told_so(self, tmp_path: Path) -> None:
        outdated = tmp_path / "shared" / "celery_tasks"
        outdated.mkdir(parents=True)
        (outdated / "__init__.py").touch()
        (outdated / "celery_config.py").write_text("worker_consumer = 'celery_tasks.consumer:Consumer'\n")
        env_file = tmp_path / "magic.env"
        env_file.write_text(f"{TASKS}\nCELERY_AGENT_PATH={tmp_path}/shared\n")
        result = python(
            "-m", "agent.config.planner", "--instance", "magic", "--env-file", str(env_file), folder=tmp_path
        )
        assert (
            f"{env_file}: CELERY_AGENT_CELERY_CONFIG is 'celery_tasks.celery_config', but {outdated}/celery_config.py is "
            "from before celery_delivery was a package of its own. docs/contracts.md says how to leave it behind."
        ) in result.stdout

    def test_that_is_too_old_is_told_its_version(self, tmp_path: Path) -> None:
        # What Python 3.9 says and does, where no such interpreter is at hand.
        old = tmp_path / "python3.9"
        old.write_text('#!/bin/sh\nif [ "$1" = -P ]; then echo "Unknown option: -P" >&2; exit 2; fi\necho 3 9\n')
        old.chmod(0o755)
        assert (
            self.said(tmp_path, old)
            == "it is Python 3.9, and 3.11 is the oldest that works. Make its environment anew."
        )

    def test_that_the_kernel_refuses_is_told_so(self, tmp_path: Path) -> None:
        broken = tmp_path / "python"
        broken.write_bytes(b"\x7fELF, not really")
        broken.chmod(0o755)
        assert (
            self.said(tmp_path, broken)
            == "it can't be run: Exec format error. Name the bin/python of a virtual environment."
        )

    def test_that_says_nothing_is_given_up(self, tmp_path: Path) -> None:
        sleeper = tmp_path / "python"
        sleeper.write_text(f"#!/bin/sh\nexec {shutil.which('sleep')} 1000\n")
        sleeper.chmod(0o755)
        env_file, _ = write(
            Case("", (TASKS, f"CELERY_AGENT_PYTHON={sleeper}", "CELERY_AGENT_IMPORT_TIMEOUT=1"), ""), tmp_path
        )
        result = python(
            "-m", "agent.config.planner", "--instance", "magic", "--env-file", str(env_file), folder=tmp_path
        )
        assert "but it does not run the agent's code: no sign of life in 1 s." in result.stdout
