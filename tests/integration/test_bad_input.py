"""Bad input: one clear line, exit status 78, nothing started, nothing left behind."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from agent.cli.main import main
from agent.errors import CONFIGURATION, FAILURE
from tests.integration.bad_apps import APPS
from tests.integration.bad_configurations import CASES
from tests.integration.bad_input import GOOD, TASKS, Case, agent, environment, python, write
from tests.integration.bad_tasks import DECORATED

by_name = pytest.mark.parametrize("case", [*CASES, *APPS, *DECORATED], ids=lambda case: case.name)

# As root every file can be read; without these capabilities root is a user like any other.
WITHOUT_PRIVILEGE = (
    ["setpriv", "--bounding-set", "-dac_override,-dac_read_search", "--inh-caps", "-dac_override,-dac_read_search"]
    if os.geteuid() == 0
    else []
)


def processes_of(folder: Path) -> list[psutil.Process]:
    """Return the processes whose environment or command line names a test's folder."""
    found = []
    for process in psutil.process_iter():
        try:
            if str(folder) in " ".join([*process.cmdline(), *process.environ().values()]):
                found.append(process)
        except (psutil.NoSuchProcess, psutil.AccessDenied):
            continue
    return [process for process in found if process.pid != os.getpid()]


@by_name
def test_check_finds_it(
    case: Case, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    _, line = write(case, tmp_path)
    monkeypatch.setenv("CELERY_AGENT_CONFIG_DIR", str(tmp_path))
    assert main(["check", "magic", "--json"]) == CONFIGURATION
    (instance,) = json.loads(capsys.readouterr().out)["instances"]
    bad = [each for each in instance["findings"] if each["level"] == "FAIL" and each["subject"] != "broker"]
    assert [each["text"] for each in bad] == [line]
    assert instance["exit_status"] == CONFIGURATION


@by_name
def test_run_refuses_it_and_leaves_nothing_behind(case: Case, tmp_path: Path) -> None:
    _, line = write(case, tmp_path)
    result = agent("run", "magic", folder=tmp_path)
    assert result.stderr.splitlines()[-1] == f"agent: {line}"
    assert result.returncode == CONFIGURATION
    assert processes_of(tmp_path) == []
    assert not (tmp_path / "run" / "magic" / "control.sock").exists()


@pytest.mark.parametrize("command", ["run", "check", "config"])
def test_a_missing_env_file_is_named(command: str, tmp_path: Path) -> None:
    (tmp_path / "magic.env").touch()
    result = agent(command, "magik", folder=tmp_path)
    said = result.stdout + result.stderr
    assert f"{tmp_path}/magik.env is missing. `agent config --example` prints one to start from." in said
    assert f"Did you mean {tmp_path}/magic.env?" in said
    assert result.returncode == CONFIGURATION


@pytest.mark.parametrize("command", ["run", "check", "config"])
def test_an_unreadable_env_file_is_named(command: str, tmp_path: Path) -> None:
    (tmp_path / "magic.env").touch(mode=0o000)
    result = agent(command, "magic", folder=tmp_path, prefix=WITHOUT_PRIVILEGE)
    said = result.stdout + result.stderr
    assert f"{tmp_path}/magic.env can't be read by this user. Where this is the instance's own: chgrp " in said
    assert result.returncode == CONFIGURATION


@pytest.mark.parametrize("command", ["run", "check", "config"])
def test_what_is_no_instance_name_is_refused(command: str, tmp_path: Path) -> None:
    result = agent(command, "../magic", folder=tmp_path)
    assert "'../magic' is no instance name: use 1 to 64 letters" in result.stderr
    assert result.returncode == CONFIGURATION


def test_a_runtime_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    write(Case("", (TASKS,), ""), tmp_path)
    (tmp_path / "run").mkdir(mode=0o500)
    result = agent("run", "magic", folder=tmp_path, prefix=WITHOUT_PRIVILEGE)
    assert result.stderr == (
        f"agent: the runtime folder {tmp_path}/run/magic can't be written (Permission denied): "
        "make it the agent's alone, or name another in CELERY_AGENT_RUNTIME_DIR\n"
    )
    assert result.returncode == CONFIGURATION


@pytest.fixture
def running(tmp_path: Path) -> Iterator[Path]:
    """The env file of instance `magic`, which runs on the embedded broker and has a good task class."""
    env_file, _ = write(Case("", (TASKS, f"CELERY_TASKS_BROKER=embedded://{tmp_path}/broker"), ""), tmp_path)
    process = subprocess.Popen(
        [sys.executable, "-m", "agent.cli.main", "run", "magic"], env=environment(tmp_path), stderr=subprocess.DEVNULL
    )
    try:
        assert agent("status", "magic", "--wait", "30", folder=tmp_path).returncode == 0
        yield env_file
    finally:
        process.terminate()
        process.wait(30)


def worker_pid(folder: Path) -> int:
    """Return the pid of the only queue's worker."""
    (queue,) = json.loads(agent("status", "magic", "--json", folder=folder).stdout)["queues"]
    pid: int = queue["pid"]
    return pid


def test_a_second_agent_for_an_instance_is_refused_and_the_first_is_left_alone(running: Path) -> None:
    folder = running.parent
    before = worker_pid(folder)
    result = agent("run", "magic", folder=folder)
    assert result.stderr.startswith("agent: instance magic is running already ")
    assert result.returncode == FAILURE
    assert worker_pid(folder) == before


def test_a_reload_of_bad_input_changes_nothing_and_says_why(running: Path) -> None:
    folder = running.parent
    before = worker_pid(folder)
    running.write_text(running.read_text() + "CELERY_AGENT_QUEUES__unique_magic_task__CONCURRENCY=many\n")
    result = agent("reload", "magic", folder=folder)
    assert result.stderr == (
        f"agent: {running}:4: CELERY_AGENT_QUEUES__unique_magic_task__CONCURRENCY is 'many', but must be "
        "a whole number from 1 to 1024.\n"
    )
    assert result.returncode == CONFIGURATION
    assert worker_pid(folder) == before


def test_a_secret_in_an_error_of_user_code_is_masked(tmp_path: Path) -> None:
    source = "import os\nraise ValueError(f\"can't log in with {os.environ['RABBITMQ_PWD']}\")\n"
    write(Case("", ("CELERY_AGENT_TASKS=broken:Task", "RABBITMQ_PWD=hunter2"), "", {"broken.py": source}), tmp_path)
    result = agent("check", "magic", folder=tmp_path)
    assert "can't log in with **" in result.stdout
    assert "hunter2" not in result.stdout + result.stderr


def test_what_user_code_prints_does_not_reach_the_plan(tmp_path: Path) -> None:
    chatty = GOOD + "import os\nprint('hello')\nos.write(1, b'world')\n"
    env_file, _ = write(
        Case("", ("CELERY_AGENT_TASKS=chatty:ActualMagicCeleryTask",), "", {"chatty.py": chatty}), tmp_path
    )
    result = python("-m", "agent.config.planner", "--instance", "magic", "--env-file", str(env_file), folder=tmp_path)
    assert [list(json.loads(line)) for line in result.stdout.splitlines()] == [["template"], ["plan"]]
    assert (result.returncode, result.stderr) == (0, "")


def test_threads_and_processes_that_user_code_starts_do_not_outlive_discovery(tmp_path: Path) -> None:
    stubborn = GOOD + (
        "import subprocess, threading, time\n"
        "threading.Thread(target=time.sleep, args=(1000,)).start()\n"
        "subprocess.Popen(['sleep', '1000'])\n"
    )
    env_file, _ = write(
        Case("", ("CELERY_AGENT_TASKS=stubborn:ActualMagicCeleryTask",), "", {"stubborn.py": stubborn}), tmp_path
    )
    result = python("-m", "agent.config.planner", "--instance", "magic", "--env-file", str(env_file), folder=tmp_path)
    assert result.returncode == 0
    assert processes_of(tmp_path) == []
