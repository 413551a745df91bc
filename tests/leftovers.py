"""Processes that a run of the tests leaves behind, and their end: whatever ends the run, kill -9 included.

Each process of a run inherits a marker, a variable in its environment, and is found by it wherever it went: in a session of
its own, an orphan, a grandchild of a script. `begin` starts a process beside the run that waits for the run's end.

python -m tests.leftovers PID NAME=value    once the process has ended, kill all that have the marker
"""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
import time
import uuid
from pathlib import Path

VARIABLE = "TEST_RUN"
END_TIMEOUT = 20.0  # seconds in which what was killed has ended


def begin() -> None:
    """Mark what this process starts from now on, and see to it that none of it outlives this process."""
    os.environ[VARIABLE] = uuid.uuid4().hex
    subprocess.Popen(
        [sys.executable, "-m", "tests.leftovers", str(os.getpid()), f"{VARIABLE}={os.environ[VARIABLE]}"],
        cwd=Path(__file__).parents[1],
        env={},  # without the marker of this run, or of one that this one is part of
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )


def marker() -> dict[str, str]:
    """Return this run's marker, for processes that get an environment of their own."""
    return {VARIABLE: os.environ[VARIABLE]} if VARIABLE in os.environ else {}


def marked(text: str) -> list[int]:
    """Return the pids of the living processes that inherited a marker, `NAME=value`."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and int(entry.name) != os.getpid():
            try:
                variables = (entry / "environ").read_bytes().split(b"\0")
            except OSError:  # it ended meanwhile, or is another user's
                continue
            if text.encode() in variables:
                found.append(int(entry.name))
    return found


def end(text: str) -> None:
    """Kill everything that has the marker, until nothing does."""
    deadline = time.monotonic() + END_TIMEOUT
    while pids := marked(text):
        if time.monotonic() > deadline:
            raise RuntimeError(f"these processes of a run can't be killed: {pids}")
        for pid in pids:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
        time.sleep(0.02)


def main(pid: int, text: str) -> None:
    """Wait for the end of a process, then end what it has left."""
    try:
        select.select([os.pidfd_open(pid)], [], [])
    except ProcessLookupError:
        pass  # it has ended already
    end(text)


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2])
