"""The planner's side of discovery: runs the importing half in the user's interpreter, within its time.

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
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from agent.worker.spec import TemplateSpec

LAUNCH = str(Path(__file__).parent / "worker" / "launch.py")
OLDEST_PYTHON = (3, 11)  # the agent's own minimum: its worker side is written for it
PROBE_TIMEOUT = 60.0  # seconds; each broker has a few of its own
VERSION_TIMEOUT = 10.0  # seconds that an interpreter may take to tell its version
LARGEST_DETAIL = 20_000  # characters of what user code printed that are kept


@dataclass(frozen=True, slots=True)
class HostedTask:
    """A task class that can be hosted."""

    path: str
    name: str
    queue: str


@dataclass(frozen=True, slots=True)
class Obstacle:
    """Why something can't be hosted; see `agent.worker.discovery` for what subjects there are."""

    subject: str
    item: str
    text: str
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Probe:
    """What came of reaching for one broker; `fault` is empty where it answered."""

    broker: str
    fault: str
    text: str


@dataclass(frozen=True, slots=True)
class Discovery:
    """What was found in the user's interpreter; versions and broker are empty where it did not get so far."""

    python: str = ""
    celery: str = ""
    tasks: tuple[HostedTask, ...] = ()
    broker: str = ""
    embedded: bool = False
    obstacles: tuple[Obstacle, ...] = ()
    probes: tuple[Probe, ...] = ()


def discover(template: TemplateSpec, tasks: Sequence[str], timeout: float) -> Discovery:
    """Import task classes and see whether they can be hosted; `timeout` in seconds for all imports together."""
    return _run(template, timeout, {"tasks": tuple(tasks), "probe": False})


def discover_and_probe(template: TemplateSpec, tasks: Sequence[str], timeout: float) -> Discovery:
    """Do the same, and reach for the brokers afterwards."""
    return _run(template, timeout, {"tasks": tuple(tasks), "probe": True})


def _run(template: TemplateSpec, timeout: float, wanted: Mapping[str, Any]) -> Discovery:
    request = {"parent": os.getpid(), "path": template.path, "preload": template.preload, "timeout": timeout, **wanted}
    with tempfile.TemporaryFile() as stdin, tempfile.TemporaryFile() as stderr:
        stdin.write(json.dumps(request).encode())
        stdin.seek(0)
        read_end, write_end = os.pipe()
        try:
            process = subprocess.Popen(
                [template.python, "-P", LAUNCH, "discovery"],
                stdin=stdin,
                stdout=write_end,
                stderr=stderr,
                env=dict(template.environment),
                start_new_session=True,
            )
        except OSError as error:
            os.close(read_end)
            text = f"it can't be run: {error.strerror}. Name the bin/python of a virtual environment."
            return Discovery(obstacles=(Obstacle("python", "", text),))
        finally:
            os.close(write_end)
        run = _Run(process, read_end, stderr, template.python, timeout)
        try:
            return run.result()
        finally:
            run.end()


class _Run:
    """One discovery process, from its start to its end."""

    def __init__(
        self, process: subprocess.Popen[bytes], channel: int, stderr: IO[bytes], python: str, timeout: float
    ) -> None:
        self._process = process
        self._channel = channel
        self._stderr = stderr
        self._python = python
        self._timeout = timeout
        self._deadline = time.monotonic() + timeout
        self._importing = ""
        self._text = b""
        self._lines: list[dict[str, Any]] = []

    def result(self) -> Discovery:
        """Collect what comes until the end of the process or of its time."""
        in_time = self._collect()
        self.end()
        if self._has("done"):
            unanswered = [] if in_time else [Probe("", "silent", f"no answer in {PROBE_TIMEOUT:g} s")]
            return _discovery(self._lines, [], unanswered)
        return _discovery(self._lines, [self._ended_early() if in_time else self._hung()], [])

    def end(self) -> None:
        """Kill what is left of the process and of whatever it started in its session."""
        if self._process.returncode is not None:
            return
        os.killpg(
            self._process.pid, signal.SIGKILL
        )  # the leader has not been waited for, so the group is still its own
        self._process.wait()
        os.close(self._channel)

    def _has(self, kind: str) -> bool:
        return any(kind in line for line in self._lines)

    def _collect(self) -> bool:
        """Read lines until the process has ended; return whether it did in time."""
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

    def _read(self) -> bool:
        """Take in lines that are there; return whether there may be more."""
        try:
            received = os.read(self._channel, 65_536)
        except BlockingIOError:
            return False
        *lines, self._text = (self._text + received).split(b"\n")
        for line in lines:
            self._take(json.loads(line))
        return bool(received)

    def _take(self, line: dict[str, Any]) -> None:
        self._importing = line.get("importing", self._importing)
        self._lines.append(line)
        if "done" in line:
            self._deadline = time.monotonic() + PROBE_TIMEOUT

    def _hung(self) -> Obstacle:
        if not self._has("started"):
            return Obstacle("python", "", f"it does not run the agent's code: no sign of life in {self._timeout:g} s.")
        return Obstacle(
            "import",
            self._importing,
            f"importing {self._importing} took more than {self._timeout:g} s. Let the module only define its tasks, "
            "or raise CELERY_AGENT_IMPORT_TIMEOUT.",
            self._printed(),
        )

    def _ended_early(self) -> Obstacle:
        printed = self._printed()
        how = _words(self._process.returncode)
        if self._has("started"):
            last = _last_line(printed) if self._process.returncode >= 0 else ""
            said = f": {last}" if last else ""
            text = f"importing {self._importing} ended the process ({how}){said}. Mend the module."
            return Obstacle("import", self._importing, text, printed)
        version = _python_version(self._python)
        if version is None:
            return Obstacle(
                "python",
                "",
                f"it is no Python interpreter ({how}). Name the bin/python of a virtual environment.",
                printed,
            )
        if version < OLDEST_PYTHON:
            oldest = ".".join(str(number) for number in OLDEST_PYTHON)
            found = ".".join(str(number) for number in version)
            return Obstacle(
                "python", "", f"it is Python {found}, and {oldest} is the oldest that works. Make its environment anew."
            )
        return Obstacle(
            "python", "", f"it ended before it ran the agent's code ({how}): {_last_line(printed)}", printed
        )

    def _printed(self) -> str:
        size = self._stderr.seek(0, os.SEEK_END)
        self._stderr.seek(max(0, size - LARGEST_DETAIL))
        return self._stderr.read().decode(errors="replace")


def _discovery(lines: Sequence[dict[str, Any]], obstacles: Sequence[Obstacle], probes: Sequence[Probe]) -> Discovery:
    merged = {name: value for line in lines for name, value in line.items()}
    return Discovery(
        python=merged.get("started", ""),
        celery=merged.get("celery", ""),
        tasks=tuple(HostedTask(line["task"], line["name"], line["queue"]) for line in lines if "task" in line),
        broker=merged.get("broker", ""),
        embedded=merged.get("embedded", False),
        obstacles=(*(Obstacle(**line["problem"]) for line in lines if "problem" in line), *obstacles),
        probes=(*(Probe(**line["probe"]) for line in lines if "probe" in line), *probes),
    )


def _words(returncode: int) -> str:
    if returncode >= 0:
        return f"exit status {returncode}"
    try:
        return signal.Signals(-returncode).name
    except ValueError:
        return f"signal {-returncode}"


def _last_line(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1] if lines else ""


def _python_version(python: str) -> tuple[int, ...] | None:
    program = "import sys; print(sys.version_info[0], sys.version_info[1])"
    try:
        answer = subprocess.run(
            [python, "-c", program],
            capture_output=True,
            text=True,
            timeout=VERSION_TIMEOUT,
            check=False,
            stdin=subprocess.DEVNULL,
        )
        return tuple(int(number) for number in answer.stdout.split()[:2]) or None
    except (OSError, ValueError, subprocess.TimeoutExpired):
        return None
