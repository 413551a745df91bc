"""The lock of an instance, with another process that has it."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from agent.errors import FAILURE, AgentError, ConfigurationError
from agent.run.lock import hold_lock

HOLD = """
import sys, time
from pathlib import Path
from agent.run.lock import hold_lock
hold_lock(Path(sys.argv[1]))
print("held", flush=True)
time.sleep(600)
"""


def holder(folder: Path) -> subprocess.Popen[str]:
    """Return a process that holds a folder's lock."""
    process = subprocess.Popen([sys.executable, "-c", HOLD, str(folder)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    return process


def test_only_one_process_holds_it_and_the_next_is_told_of_whom_to_ask(tmp_path: Path) -> None:
    with holder(tmp_path / "magic") as other:
        with pytest.raises(AgentError, match=r"magic is running already .* see `agent status magic`") as refused:
            hold_lock(tmp_path / "magic")
        assert refused.value.exit_status == FAILURE  # 78 would keep systemd from trying again once the other has gone
        other.kill()


def test_it_is_free_again_when_its_holder_was_killed(tmp_path: Path) -> None:
    with holder(tmp_path) as other:
        os.kill(other.pid, signal.SIGKILL)
    os.close(hold_lock(tmp_path))


def test_a_program_that_is_started_does_not_hold_it(tmp_path: Path) -> None:
    lock = hold_lock(tmp_path)
    with subprocess.Popen(["sleep", "600"], close_fds=False) as program:
        os.close(lock)
        os.close(hold_lock(tmp_path))
        program.kill()


def test_who_may_ask_the_agent_can_not_hold_the_lock_in_its_place(tmp_path: Path) -> None:
    lock = tmp_path / "lock"
    lock.touch()
    lock.chmod(0o640)  # as one is that was left there; who may read a file may lock it
    descriptor = hold_lock(tmp_path)
    assert lock.stat().st_mode & 0o077 == 0
    os.close(descriptor)


def test_a_folder_that_can_not_be_made_is_told_with_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ConfigurationError, match=r"file/magic can't be written .* CELERY_AGENT_RUNTIME_DIR"):
        hold_lock(tmp_path / "file" / "magic")


def test_a_link_in_its_place_is_not_followed(tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    (tmp_path / "magic").mkdir()
    (tmp_path / "magic" / "lock").symlink_to(elsewhere)
    with pytest.raises(ConfigurationError, match="is a link to elsewhere"):
        hold_lock(tmp_path / "magic")
    assert not elsewhere.exists()


def test_a_link_in_place_of_its_folder_is_not_followed(tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (tmp_path / "magic").symlink_to(elsewhere)
    with pytest.raises(ConfigurationError, match="is a link to elsewhere"):
        hold_lock(tmp_path / "magic")
    assert not list(elsewhere.iterdir())


@pytest.mark.parametrize("mode", [0o770, 0o777, 0o1777])
def test_a_folder_where_others_may_write_is_refused(tmp_path: Path, mode: int) -> None:
    (tmp_path / "magic").mkdir()
    (tmp_path / "magic").chmod(mode)
    with pytest.raises(ConfigurationError, match="can be written by others: make it the agent's alone"):
        hold_lock(tmp_path / "magic")


def test_a_folder_of_another_user_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("agent.run.lock.os.geteuid", lambda: os.getuid() + 1)
    with pytest.raises(ConfigurationError, match="is another user's"):
        hold_lock(tmp_path / "magic")
