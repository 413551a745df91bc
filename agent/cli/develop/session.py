"""`agent run --dev`: runs an agent, shows what it says, and has it take up code that is saved.

    files ──looked at──> a change ──SIGHUP──> agent: the reload of every day; code that can't be imported changes nothing
    agent, workers, tasks ──records──> lines on the terminal

The agent is a process of its own, as under systemd. Where it has ended, the next change starts it again.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from selectors import EVENT_READ, DefaultSelector

from agent.cli.develop.files import Looks, changed, look
from agent.cli.develop.project import Project, project_of
from agent.cli.develop.records import Record, Records
from agent.cli.develop.view import AGENT, View
from agent.config.instances import FOLLOW_VARIABLE
from agent.errors import CONFIGURATION, OK, AgentError
from agent.guest.journal import SOCKET_VARIABLE
from agent.guest.kernel import die_with_parent
from agent.run.own import own

INTERVAL = 0.4  # seconds between two looks at the files, or more, so that looking takes a twentieth of the time
SHARE = 20
MOST_NAMED = 5  # files of a change that are named
ASKING = {
    signal.SIGINT: signal.SIGTERM,
    signal.SIGTERM: signal.SIGTERM,
    signal.SIGHUP: signal.SIGTERM,
    signal.SIGQUIT: signal.SIGQUIT,
}


def run(instance: str, env_file: Path) -> int:
    """Run an instance until Ctrl-C; return the exit status of its agent."""
    with tempfile.TemporaryDirectory(prefix="celery-agent-dev-") as folder:
        session = Session(instance, env_file, Path(folder))
        try:
            return session.run()
        finally:
            session.close()


class Session:
    """One agent after the other, and what they say."""

    def __init__(self, instance: str, env_file: Path, folder: Path) -> None:
        """Prepare; `folder` is for the socket that records come to."""
        self._instance = instance
        self._env_file = env_file
        self._project = Project()
        self._view = View(colours=sys.stdout.isatty() and not os.environ.get("NO_COLOR"))
        self._records = Records(folder / "records")
        self._socket_path = folder / "records"
        self._selector = DefaultSelector()
        self._selector.register(self._records, EVENT_READ, self._read_records)
        self._output, self._write_end = os.pipe()
        os.set_blocking(self._output, False)
        self._selector.register(self._output, EVENT_READ, self._read_output)
        self._agent: subprocess.Popen[bytes] | None = None
        self._stops = False
        self._status = OK
        self._awaited: set[str] = set()
        self._looks: Looks = {}
        self._unsettled: Looks | None = None

    def run(self) -> int:
        """Run until Ctrl-C, or until nobody reads any more; return the agent's exit status."""
        receiver, sender = socket.socketpair()
        with receiver, sender:
            receiver.setblocking(False)
            sender.setblocking(False)
            for number in ASKING:
                signal.signal(number, lambda *_: None)
            signal.set_wakeup_fd(sender.fileno())
            self._selector.register(receiver, EVENT_READ, lambda: self._signalled(receiver.recv(64)))
            try:
                return self._run()
            finally:
                signal.set_wakeup_fd(-1)

    def _run(self) -> int:
        self._read_project()
        self._looks = self._look()
        for line in self._project.greeting(self._instance, self._env_file, len(self._looks)):
            self._say(line)
        if not self._stops:
            self._start()
        due = time.monotonic() + INTERVAL
        while not (self._stops and self._agent is None):
            for key, _ in self._selector.select(max(0.0, due - time.monotonic())):
                key.data()
            self._see_whether_it_ended()
            if time.monotonic() >= due:
                began = time.monotonic()
                if not self._stops:
                    self._look_for_changes()
                due = time.monotonic() + max(INTERVAL, SHARE * (time.monotonic() - began))
        return self._status

    def close(self) -> None:
        """End what is left."""
        if self._agent is not None:
            self._agent.kill()
            self._agent.wait()
        self._records.close()
        for descriptor in (self._output, self._write_end):
            os.close(descriptor)
        self._selector.close()

    # The agent

    def _start(self) -> None:
        status = os.fstat(self._write_end)
        environment = {
            **os.environ,
            **self._project.variables,
            FOLLOW_VARIABLE: "1",
            "JOURNAL_STREAM": f"{status.st_dev}:{status.st_ino}",
            SOCKET_VARIABLE: str(self._socket_path),
        }
        self._agent = subprocess.Popen(
            [*own("agent"), "run", self._instance, "--env-file", str(self._env_file)],
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=self._write_end,
            stderr=self._write_end,
            start_new_session=True,  # Ctrl-C is for this process, which then tells the agent
            preexec_fn=_be_told,
        )

    def _see_whether_it_ended(self) -> None:
        if self._agent is None or self._agent.poll() is None:
            return
        self._read_records()
        self._read_output()
        ended, self._agent = self._agent.returncode, None
        if self._stops and ended < 0:  # it was told to before it could listen
            ended = OK
        self._status = ended if ended >= 0 else 128 - ended  # as a shell has it
        if not self._stops:
            why = "can't be run so" if self._status == CONFIGURATION else f"has ended (exit status {self._status})"
            self._say(f"the instance {why}: it is started again when a file changes", is_fault=True)

    def _stop(self, number: signal.Signals) -> None:
        self._stops = True
        if self._agent is None:
            return
        self._agent.send_signal(number)

    def _signalled(self, numbers: bytes) -> None:
        for number in numbers:
            if number in ASKING:
                if not self._stops:
                    self._say("stopping, when running tasks are done; once more cancels them")
                self._stop(ASKING[signal.Signals(number)])

    # The files

    def _read_project(self) -> None:
        try:
            self._project = project_of(self._env_file, os.environ)
        except AgentError:  # the agent says what is wrong
            pass

    def _look(self) -> Looks:
        return look(self._project.folders, [self._env_file])

    def _look_for_changes(self) -> None:
        looks = self._look()
        if looks != (self._looks if self._unsettled is None else self._unsettled):
            self._unsettled = looks  # an editor may be in the middle of it, and there may be more
            return
        if self._unsettled is None:
            return
        files, self._looks, self._unsettled = changed(self._looks, looks), looks, None
        if not files:
            return
        self._view.forget_faults()
        self._say(f"{_named(files)} changed")
        if str(self._env_file) in files:
            self._read_project()
            self._looks = self._look()
        if self._agent is None:
            self._start()
        else:
            self._agent.send_signal(signal.SIGHUP)

    # What is said

    def _read_records(self) -> None:
        for record in self._records.read():
            self._follow(record)
            self._print(self._view.lines(record, _now()))

    def _follow(self, record: Record) -> None:
        match record.get("CELERY_EVENT"):
            case "plan":
                renewed = ",".join(record.get(f"CELERY_{name}", "") for name in ("ADDED", "CHANGED"))
                self._awaited = set(filter(None, renewed.split(",")))
                if not self._awaited:
                    self._say("no queue runs it")
            case "worker-consuming" if self._awaited:
                self._awaited.discard(record.get("CELERY_QUEUE", ""))
                if not self._awaited:
                    self._say("all queues are consumed")

    def _read_output(self) -> None:
        """Show what does not come as records: what programs of tasks write, and the agent before it has begun."""
        with suppress(BlockingIOError):
            while text := os.read(self._output, 65_536):
                self._print(self._view.printed(text.decode(errors="replace"), _now()))

    def _say(self, text: str, *, is_fault: bool = False) -> None:
        self._print(self._view.said(AGENT, text, _now(), is_fault=is_fault))

    def _print(self, lines: Iterable[str]) -> None:
        try:
            for line in lines:
                print(line)
            sys.stdout.flush()
        except OSError:  # who read has gone: there is nobody to work for
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            if not self._stops:
                self._stop(signal.SIGTERM)


def _be_told() -> None:
    """Prepare a process that is about to become the agent."""
    die_with_parent(signal.SIGTERM)
    # A change in its first moment is none that it could miss: it has not read anything yet.
    signal.signal(signal.SIGHUP, signal.SIG_IGN)


def _named(files: list[str]) -> str:
    more = len(files) - MOST_NAMED
    names = [os.path.relpath(each) if each.startswith(os.getcwd() + os.sep) else each for each in files[:MOST_NAMED]]
    return ", ".join(names) + (f" and {more} more" if more > 0 else "")


def _now() -> str:
    return time.strftime("%H:%M:%S")
