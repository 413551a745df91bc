"""Commands as processes whose stdin, stdout and stderr are closed, or lead nowhere."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from agent.cli.main import main
from agent.errors import NO_SUCH_INSTANCE
from tests.adapters.test_logs import SOURCE, pipe

# Runs a command, then tells by a pipe which number the next file that is opened has.
OPENER = """
import os, sys
from agent.cli.main import main
main(["status"])
os.write(int(sys.argv[1]), str(os.open(os.devnull, os.O_RDONLY)).encode())
"""


@pytest.fixture(autouse=True)
def _folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CELERY_AGENT_CONFIG_DIR", str(tmp_path))
    monkeypatch.setenv("CELERY_AGENT_RUNTIME_DIR", str(tmp_path))


def agent(*arguments: str, redirections: str = "") -> "subprocess.CompletedProcess[bytes]":
    command = ["sh", "-c", f'exec "$0" -m agent "$@" {redirections}', sys.executable, *arguments]
    return subprocess.run(command, cwd=SOURCE, capture_output=True, timeout=60, check=False)


def test_an_error_is_not_printed_to_stdout_where_stderr_is_closed() -> None:
    ended = agent("status", redirections="2>&-")
    assert (ended.returncode, ended.stdout) == (NO_SUCH_INSTANCE, b"")


def test_an_error_that_nobody_reads_has_its_exit_status_all_the_same() -> None:
    with pipe() as (reader, writer):
        os.dup2(os.open(os.devnull, os.O_RDONLY), reader)
        command = [sys.executable, "-m", "agent", "status"]
        assert (
            subprocess.run(command, cwd=SOURCE, stderr=writer, timeout=60, check=False).returncode == NO_SUCH_INSTANCE
        )


def test_a_file_that_is_opened_is_never_taken_for_a_standard_one_that_was_closed() -> None:
    with pipe() as (reader, writer):
        command = ["sh", "-c", 'exec "$0" -c "$1" "$2" <&- >&- 2>&-', sys.executable, OPENER, str(writer)]
        subprocess.run(command, cwd=SOURCE, pass_fds=[writer], timeout=60, check=False)
        os.write(writer, b"\n")
        assert int(os.read(reader, 100)) > 2


def test_what_no_encoding_of_the_terminal_has_is_printed_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONIOENCODING", "ascii")
    Path(os.environ["CELERY_AGENT_CONFIG_DIR"], "magic.env").write_text("CELERY_AGENT_TASKS=größe:Größe\n")
    ended = agent("config", "magic")
    assert (ended.returncode, ended.stderr) == (0, b"")
    assert b"gr\\xf6\\xdfe" in ended.stdout


def test_output_that_nobody_reads_is_no_error() -> None:
    ended = agent("config", "--markdown", redirections="| head -c 1")
    assert ended.stderr == b""


class Broken:
    """A daemon in which a pipe breaks that is none of stdout."""

    def __init__(self, *_: object) -> None:
        pass

    def run(self) -> int:
        raise BrokenPipeError


def test_a_pipe_that_breaks_in_the_agent_is_no_success(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("agent.cli.run.Daemon", Broken)
    with pytest.raises(BrokenPipeError):
        main(["run", "magic"])
