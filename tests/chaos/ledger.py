"""The ledger of a run: what was offered to the broker, accepted, started and ended, all by one clock.

Producer and tasks append to one file, a line a fact, in a single write: kill -9 loses nothing that was written.
"""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path


class Fact(StrEnum):
    """What an entry states of a task."""

    OFFERED = "offered"  # the producer is about to send it, for the first time or again
    REFUSED = "refused"  # sending raised: it may be at the broker or not
    ACCEPTED = "accepted"  # sending returned: from here on it must not be lost
    STARTED = "started"  # an execution begins
    ENDED = "ended"  # an execution is through


@dataclass(frozen=True, slots=True)
class Entry:
    """One line: when, in seconds of the machine's monotonic clock; what; which task; in which process."""

    at: float
    fact: Fact
    task: str
    pid: int


class Ledger:
    """The file, to write to and to follow."""

    def __init__(self, path: Path) -> None:
        """Open the ledger, which is made where it is missing."""
        self.path = path
        self._file = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
        self._read = 0
        self._entries: list[Entry] = []

    def write(self, fact: Fact, task: str) -> None:
        """Append an entry of this process."""
        os.write(self._file, f"{time.monotonic():.6f} {fact} {task} {os.getpid()}\n".encode())

    def entries(self) -> Sequence[Entry]:
        """Return all entries so far, in the order of their writing."""
        new = os.pread(self._file, os.fstat(self._file).st_size - self._read, self._read)
        whole = new[: new.rfind(b"\n") + 1]
        self._read += len(whole)
        self._entries += map(_parsed, whole.decode().splitlines())
        return self._entries

    def close(self) -> None:
        """Close the file."""
        os.close(self._file)


def _parsed(line: str) -> Entry:
    at, fact, task, pid = line.split()
    return Entry(float(at), Fact(fact), task, int(pid))
