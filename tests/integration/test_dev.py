"""`agent run --dev`, as a person has it in a terminal who edits code beside it."""

import os
import pty
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.node import ROOT
from tests.waiting import wait_until

TASKS = """
import celery
class Words(celery.Task):
    name = "words"
    def run(self, text):
        print("counting", text)
        return {value}
class Other(celery.Task):
    name = "other"
    def run(self):
        return {value}
"""
SEND = """
import mine
from celery_tasks.utils import create_worker_from
result = create_worker_from(mine.Words)[1].delay("a b")
print(result.id, result.get(timeout=60))
"""
BROKEN = "def run(:\n"
GOING = "what ran before goes on"


class Developing:
    """A folder of code, and an agent that follows it."""

    def __init__(self, folder: Path) -> None:
        self.code = folder / "code"
        self.code.mkdir()
        (self.code / "celery_tasks").symlink_to(ROOT / "celery_tasks")
        self.save(1)
        self.env_file = folder / "magic.env"
        self.env_file.write_text(f"CELERY_AGENT_TASKS=mine:Words,mine:Other\nCELERY_AGENT_PATH={self.code}\n")
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("RABBITMQ_", "CELERY_"))}
        self.environment = {**kept, "TMPDIR": str(folder), "CELERY_AGENT_RUNTIME_DIR": str(folder / "run")}
        self.output = folder / "output"
        self.process: subprocess.Popen[bytes] | None = None

    def save(self, value: object) -> None:
        """Save the tasks as an editor does: what they return, or the whole text."""
        new = self.code / ".mine.py.new"
        new.write_text(TASKS.format(value=value) if isinstance(value, int) else str(value))
        new.rename(self.code / "mine.py")

    def start(self, stdout: int | None = None) -> None:
        with self.output.open("wb") as file:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "agent", "run", "--dev", "magic", "--env-file", str(self.env_file)],
                env={**self.environment, "PYTHONPATH": str(ROOT)},
                stdout=file if stdout is None else stdout,
                stderr=subprocess.STDOUT,
            )

    def said(self) -> str:
        return self.output.read_text()

    def wait_for(self, text: str, times: int = 1) -> None:
        wait_until(lambda: self.said().count(text) >= times, 90, f"{text!r}, {times} times, in {self.said()}")

    def send(self) -> tuple[str, str]:
        """Return the id of a task, and its result."""
        program = [sys.executable, "-c", SEND]
        environment = {**self.environment, "CELERY_TASKS_BROKER": "embedded", "PYTHONPATH": str(self.code)}
        done = subprocess.run(program, env=environment, capture_output=True, text=True, check=True, timeout=120)
        id_, result = done.stdout.split()
        return id_, result

    def stop(self) -> int:
        assert self.process is not None
        self.process.send_signal(signal.SIGINT)
        return self.process.wait(60)


@pytest.fixture
def developing(tmp_path: Path) -> Iterator[Developing]:
    developing = Developing(tmp_path)
    yield developing
    if developing.process is not None and developing.process.poll() is None:
        developing.process.terminate()
        developing.process.wait(60)


def test_code_runs_as_soon_as_it_is_saved_and_a_broken_save_leaves_what_ran(developing: Developing) -> None:
    developing.start()
    developing.wait_for("all queues are consumed")
    id_, result = developing.send()
    assert result == "1"
    developing.wait_for(f"words  words[{id_}] counting a b\n")
    developing.save(BROKEN)
    developing.wait_for(GOING)
    developing.save(2)
    developing.wait_for("all queues are consumed", 2)
    # The worker before may take one more before it goes.
    wait_until(lambda: developing.send()[1] == "2", 60, "what was saved runs")
    assert developing.stop() == 0
    said = developing.said()
    assert (said.count(GOING), said.count("Traceback"), said.count("SyntaxError: ")) == (1, 1, 2), said
    assert "\x1b" not in said


def test_an_instance_that_can_t_be_started_is_started_when_its_code_is_mended(developing: Developing) -> None:
    developing.save(BROKEN)
    developing.start()
    developing.wait_for("it is started again when a file changes")
    developing.save(3)
    developing.wait_for("all queues are consumed")
    assert developing.stop() == 0


def test_it_ends_with_who_reads_what_it_says(developing: Developing) -> None:
    read_end, write_end = os.pipe()
    developing.start(write_end)
    os.close(write_end)
    assert os.read(read_end, 100)
    os.close(read_end)
    developing.save(4)
    assert developing.process is not None
    assert developing.process.wait(60) == 0


def test_a_terminal_has_colours_unless_somebody_wants_none(developing: Developing) -> None:
    developing.env_file.unlink()  # then nothing is started, and nothing has to stop
    for variables, has in (({}, True), ({"NO_COLOR": "1"}, False)):
        ours, theirs = pty.openpty()
        developing.environment |= variables
        developing.start(theirs)
        os.close(theirs)
        text = b""
        while b"looking for changes" not in text:
            text += os.read(ours, 4096)
        assert (b"\x1b[" in text) is has
        os.close(ours)
        assert developing.process is not None
        developing.process.send_signal(signal.SIGINT)
        developing.process.wait(60)
