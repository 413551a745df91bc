"""A project's own app with the one line by which its queues lose nothing, and the account of what it was given and has run."""

from __future__ import annotations

import os
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from tests.projects import Project
from tests.waiting import wait_until

LINE = "make_safe(app)"
SOURCE = """
import os, time
from celery import Celery, current_task

app = Celery("proj", broker=os.environ["BROKER"])
{line}
app.conf.task_routes = {{"mail": "mail", "other": "other"}}

def note(name, word):
    file = os.open(os.path.join(os.environ["NOTES"], name), os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(file, f"{{word}}\\n".encode())
    os.close(file)

def run(name, seconds):
    note("begun", current_task.request.id)
    time.sleep(seconds)
    note("run", current_task.request.id)

@app.task(name="mail")
def mail(seconds=0.0):
    run("mail", seconds)

@app.task(name="other")
def other(seconds=0.0):
    run("other", seconds)

@app.task(name="abort")
def abort():
    os.abort()

@app.task(name="again", bind=True)
def again(self):
    if not self.request.retries:
        raise self.retry(countdown=1)
    note("run", current_task.request.id)
"""
IMPORT = "from celery_delivery.existing import make_safe\n"
SEND = """
import sys, time, uuid
import proj
name, count, pause = sys.argv[1], int(sys.argv[2]), float(sys.argv[3])
due = time.monotonic()
for _ in range(count):
    task_id = str(uuid.uuid4())
    proj.app.tasks[name].apply_async(task_id=task_id)
    proj.note("accepted", task_id)
    due += pause
    time.sleep(max(0.0, due - time.monotonic()))
"""


class Adopted(Project):
    """One instance that hosts the project; its notes are files with an id a line."""

    def write(self, line: str = LINE, more: str = "", module: str = "proj") -> None:
        """Write the project's module with the line, or with none as it was before."""
        (self.code / f"{module}.py").write_text((IMPORT if line else "") + SOURCE.format(line=line) + more)
        self.notes = self.code / "notes"
        self.notes.mkdir(exist_ok=True)
        self.variables["NOTES"] = str(self.notes)

    def noted(self, name: str) -> Counter[str]:
        """Return how often each id is in a file of notes."""
        path = self.notes / name
        return Counter(path.read_text().split()) if path.exists() else Counter()

    @contextmanager
    def sending(self, task: str, count: int, pause: float = 0.0, code: Path | None = None) -> Iterator[None]:
        """Have a process of its own send tasks, which ends with the block; fail where it could not send one."""
        with subprocess.Popen(
            [sys.executable, "-c", SEND, task, str(count), str(pause)],
            env={**os.environ, **self.variables},
            cwd=code or self.code,
            stderr=subprocess.PIPE,
            text=True,
        ) as sender:
            try:
                yield
                _, errors = sender.communicate(timeout=600)
                assert sender.returncode == 0, errors
            finally:
                sender.kill()

    @contextmanager
    def worker(self, *options: str) -> Iterator[subprocess.Popen[bytes]]:
        """Run `celery worker`, without an agent; it is killed afterwards, if it runs."""
        with (
            self.log.open("ab") as log,
            subprocess.Popen(
                [sys.executable, "-m", "celery", "-A", "proj", "worker", "-l", "INFO", *options],
                env={**os.environ, **self.variables},
                cwd=self.code,
                stdout=log,
                stderr=log,
            ) as process,
        ):
            try:
                yield process
            finally:
                process.kill()

    def wait_for_consumers(self, *queues: str) -> None:
        """Return when each queue, by the broker's name, has a consumer."""
        for queue in queues:
            wait_until(lambda name=queue: self.broker.consumers(name, self.vhost), 60, f"{queue} is consumed from")  # type: ignore[misc]

    def kinds(self) -> dict[str, str]:
        """Return the kinds of the broker's queues, by name."""
        lines = self.broker.control("list_queues", "-p", self.vhost, "name", "type", "--no-table-headers").splitlines()
        return dict(_pair(line.split()) for line in lines if line)


def _pair(words: Sequence[str]) -> tuple[str, str]:
    return words[0], words[1]
