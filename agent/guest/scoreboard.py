"""What a worker is doing right now, in a page of memory that it shares with the daemon.

A worker writes here as often as it likes, at the price of a copy, and wakes nobody; the daemon reads when somebody asks.
The last words of a killed worker stay readable: which task it was running is known even after SIGKILL.

Layout: length (u32), CRC-32 of the text (u32), then so many bytes of JSON. The daemon may read while the worker writes;
the checksum tells, and the reader tries again.
"""

from __future__ import annotations

import json
import mmap
import os
import struct
import zlib
from dataclasses import dataclass, replace

SIZE = 16_384
IDLE_BEAT = 5.0  # seconds between the pulses of a worker that does nothing
MOST_ACTIVE = 64  # running tasks that are named one by one; more are counted
TRIES = 10
_HEADER = struct.Struct("<II")


@dataclass(frozen=True, slots=True)
class ActiveTask:
    """A task that is running; `started` in seconds of the monotonic clock."""

    id: str
    name: str
    started: float


@dataclass(frozen=True, slots=True)
class Pulse:
    """A worker's account of itself.

    at: when it was written, in seconds of the monotonic clock.
    queues: what it consumes from; empty while it has no consumer.
    active: the running tasks, oldest first, at most MOST_ACTIVE of them.
    active_count: how many there are in all.
    succeeded, failed, retried: tasks that have ended since the process started.
    """

    at: float
    queues: tuple[str, ...] = ()
    active: tuple[ActiveTask, ...] = ()
    active_count: int = 0
    succeeded: int = 0
    failed: int = 0
    retried: int = 0


class Scoreboard:
    """One worker's page; the worker writes, the daemon reads."""

    def __init__(self, descriptor: int) -> None:
        """Map the page behind a descriptor that `create` made; the descriptor stays the caller's."""
        self._page = mmap.mmap(descriptor, SIZE)

    def write(self, pulse: Pulse) -> None:
        """Replace what is written; leaves out active tasks that don't fit."""
        text = _encode(pulse)
        while len(text) > SIZE - _HEADER.size and pulse.active:
            pulse = replace(pulse, active=pulse.active[: len(pulse.active) // 2])
            text = _encode(pulse)
        self._page[: _HEADER.size + len(text)] = _HEADER.pack(len(text), zlib.crc32(text)) + text

    def read(self) -> Pulse | None:
        """Return what is written, or None where nothing is, or a writer was killed in the middle of it."""
        for _ in range(TRIES):
            length, checksum = _HEADER.unpack_from(self._page)
            if not 0 < length <= SIZE - _HEADER.size:
                return None
            text = self._page[_HEADER.size : _HEADER.size + length]
            if zlib.crc32(text) == checksum:
                return _decode(text)
        return None

    def close(self) -> None:
        """Unmap the page."""
        self._page.close()


def create() -> int:
    """Return the descriptor of a new, empty page."""
    descriptor = os.memfd_create("celery-agent-scoreboard", os.MFD_CLOEXEC)
    os.ftruncate(descriptor, SIZE)
    return descriptor


def _encode(pulse: Pulse) -> bytes:
    # A list, not asdict(): a solo worker writes once a task, and asdict() alone costs as much as the rest.
    active = [(task.id, task.name, task.started) for task in pulse.active]
    counts = (pulse.active_count, pulse.succeeded, pulse.failed, pulse.retried)
    return json.dumps((pulse.at, pulse.queues, active, *counts)).encode()


def _decode(text: bytes) -> Pulse:
    at, queues, active, *counts = json.loads(text)
    return Pulse(at, tuple(queues), tuple(ActiveTask(*task) for task in active), *counts)
