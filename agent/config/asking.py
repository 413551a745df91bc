"""The importing half of the planner, a process in the user's interpreter: what it is asked, and what it answers in time.

User code that is imported there may print, hang, exit or crash: all of it comes back as values.
"""

from __future__ import annotations

import json
import os
import selectors
import signal
import subprocess
import tempfile
import time
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import IO, Any

from agent.guest.kernel import die_with_parent
from agent.guest.spec import TemplateSpec
from agent.guest.values import dataclass

LAUNCH = str(Path(__file__).parents[1] / "guest" / "launch.py")
STEP_TIMEOUT = 60.0  # seconds without a line, once all is imported; what is done then has time limits of its own
LARGEST_DETAIL = 20_000  # characters of what user code printed that are kept


@dataclass(frozen=True, slots=True)
class Answer:
    """What came of asking; see `agent.guest.answer.main` for the lines.

    python: the interpreter that was to run.
    timeout: seconds that the imports were given.
    in_time: whether the process ended by itself before its time was over.
    returncode: how it ended, as `subprocess` has it; None where it could not even be started.
    printed: the end of what user code printed; where there was no process, the system's reason.
    """

    python: str
    timeout: float
    lines: tuple[Mapping[str, Any], ...]
    in_time: bool
    returncode: int | None
    printed: str

    def has(self, kind: str) -> bool:
        """Tell whether there is a line of a kind."""
        return any(kind in line for line in self.lines)

    def last(self, kind: str) -> Any:
        """Return what the last line of a kind says, or "" where there is none."""
        return next((line[kind] for line in reversed(self.lines) if kind in line), "")

    def all(self, kind: str) -> tuple[Any, ...]:
        """Return what the lines of a kind say, in their order."""
        return tuple(line[kind] for line in self.lines if kind in line)


def ask(
    template: TemplateSpec,
    tasks: Sequence[str],
    timeout: float,
    step: Mapping[str, Any],
    consume: Sequence[str] = (),
    code: int | None = None,
) -> Answer:
    """Have task classes imported, and the app loaded, and then a step taken; return what was answered.

    timeout: seconds for all imports together.
    consume: the queues of the app that are meant, none for all.
    step: what to do once all is imported: the `module` of `agent.guest.answer` that does it, and what that wants to know.
    code: a descriptor that the code of what was imported is to be written to, None for nowhere.
    """
    request = {
        "path": template.path,
        "preload": template.preload,
        "celery_config": template.celery_config,
        "timeout": timeout,
        "tasks": tuple(tasks),
        "app": template.app,
        "consume": tuple(consume),
        "schedule": template.schedule,
        "step": step,
        "code": code,
    }
    with tempfile.TemporaryFile() as stdin, tempfile.TemporaryFile() as stderr:
        stdin.write(json.dumps(request).encode())
        stdin.seek(0)
        read_end, write_end = os.pipe()
        try:
            process = subprocess.Popen(
                [template.python, "-P", LAUNCH, "answer.main"],
                stdin=stdin,
                stdout=write_end,
                stderr=stderr,
                env=dict(template.environment),
                start_new_session=True,
                pass_fds=() if code is None else (code,),
                preexec_fn=partial(_tie_to, os.getpid()),  # an interpreter may hang before it runs our code
            )
        except OSError as error:
            os.close(read_end)
            return Answer(template.python, timeout, (), True, None, error.strerror or str(error))
        finally:
            os.close(write_end)
        conversation = _Conversation(process, read_end, timeout)
        try:
            in_time = conversation.listen()
        finally:
            conversation.end()
        return Answer(template.python, timeout, tuple(conversation.lines), in_time, process.returncode, _end_of(stderr))


def _tie_to(parent: int) -> None:
    """Have this process, which is about to become the interpreter, end when its parent does."""
    die_with_parent()
    if os.getppid() != parent:  # it has ended already
        os._exit(1)


class _Conversation:
    """What one process says, from its start to its end."""

    def __init__(self, process: subprocess.Popen[bytes], channel: int, timeout: float) -> None:
        self.lines: list[Mapping[str, Any]] = []
        self._process = process
        self._channel = channel
        self._deadline = time.monotonic() + timeout
        self._text = b""
        self._imported = False

    def listen(self) -> bool:
        """Collect lines until the process has ended; return whether it did in time."""
        os.set_blocking(self._channel, False)
        pidfd = os.pidfd_open(self._process.pid)
        try:
            with selectors.DefaultSelector() as selector:
                selector.register(self._channel, selectors.EVENT_READ)
                selector.register(pidfd, selectors.EVENT_READ)
                while (left := self._deadline - time.monotonic()) > 0:
                    ready = {key.fd for key, _ in selector.select(left)}
                    if self._channel in ready and not self._read():
                        selector.unregister(self._channel)
                    if pidfd in ready:
                        while self._read():
                            pass
                        return True
            return False
        finally:
            os.close(pidfd)

    def end(self) -> None:
        """Kill what is left of the process and of whatever it started in its session."""
        # The leader has not been waited for, so the group is still its own.
        os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        os.close(self._channel)

    def _read(self) -> bool:
        """Take in lines that are there; return whether there may be more."""
        try:
            received = os.read(self._channel, 65_536)
        except BlockingIOError:
            return False
        *lines, self._text = (self._text + received).split(b"\n")
        self.lines += (json.loads(line) for line in lines)
        self._imported = self._imported or any("done" in line for line in self.lines[len(self.lines) - len(lines) :])
        if self._imported:
            self._deadline = time.monotonic() + STEP_TIMEOUT
        return bool(received)


def _end_of(stderr: IO[bytes]) -> str:
    size = stderr.seek(0, os.SEEK_END)
    stderr.seek(max(0, size - LARGEST_DETAIL))
    return stderr.read().decode(errors="replace")
