"""What a worker is doing right now, in a page of memory that it shares with the daemon.

A worker writes here as often as it likes, at the price of a copy, and wakes nobody; the daemon reads when somebody asks.
The last words of a killed worker stay readable: which task it was running is known even after SIGKILL.

Layout: the length of what follows (u32) and its CRC-32 (u32); the numbers of a pulse (_NUMBERS); JSON, `[words, active]`.
The words seldom change, so that they are made a text of, and read, once. The daemon may read while the worker writes; the
checksum tells, and the reader tries again. User code can write here too, whatever it likes: what is not the text of a pulse
is none, and the size is sealed, since reading a page that was cut off would end the reader (SIGBUS, mmap(2)).
"""

from __future__ import annotations

import fcntl
import json
import mmap
import os
import struct
import zlib
from typing import Any, NamedTuple

SIZE = 16_384
IDLE_BEAT = 5.0  # seconds between the pulses of a worker that does nothing
MOST_ACTIVE = 64  # running tasks that are named one by one; more are counted
MOST_TICKS = 200  # entries of a schedule, likewise
TRIES = 10
# How those obstacles begin that are of the broker; behind it stands what it has said.
REFUSED = "the broker refuses what it needs: "
MORE = "; `agent check` says more"
NO_TLS = "the TLS connection to the broker fails: "
ENDS = "its process ends: "  # and how the last one begins, of a process that an exception ends
LONGEST_WORDS = 200  # characters that stand behind it
_HEADER = struct.Struct("<II")
_NUMBERS = struct.Struct("<3d7Q")
_JSON = json.JSONEncoder(check_circular=False)  # a pulse has no circles; looking for some takes a sixth of the time
_LAST_DATE = 253_402_300_799  # the last second of the year 9999, after which `datetime` has none
_LARGEST = 2**53  # above, a float has no place for each whole number


class ActiveTask(NamedTuple):
    """A task that is running; `started` in seconds of the monotonic clock, `limit` how many it may run, None for ever.

    again: whether the broker has delivered it before, so that it may have run, or have begun to.
    """

    id: str
    name: str
    started: float
    limit: float | None = None
    again: bool = False


class Tick(NamedTuple):
    """An entry of a schedule: when it was last sent, None for never, and when it is next; in seconds since the epoch."""

    entry: str
    last: float | None
    next: float


class Pulse(NamedTuple):
    """A worker's account of itself; a tuple, since each task makes two, and a frozen dataclass takes 2.7 times as long.

    at: when it was written, in seconds of the monotonic clock.
    lag: seconds by which the newest beat came later than it was due, since the loop had something else to do.
    still: since when the same tasks take all places, and use no CPU; 0.0 where that is not so.
    active_count: how many tasks run.
    succeeded, failed, retried, revoked: tasks that have ended since the process started; revoked are those that expired, too.
    set_aside: of the failed, messages for which no task was run, or not once more.
    results_lost: of all, those whose result could not be stored.
    queues: what it consumes from; empty while it has no consumer.
    obstacle: what keeps the worker from running tasks, for people; empty where nothing does.
    losing: why results can't be stored, and are lost; empty where they can.
    clock: by how much the clock of who sends to it is another, and what to do; empty where that is not known.
    leads: whether it is the one process in the fleet that sends the ticks of a schedule.
    ticks: the schedule's entries, at most MOST_TICKS of them; tick_count is how many there are in all.
    active: the running tasks, oldest first, at most MOST_ACTIVE of them.
    """

    at: float
    lag: float = 0.0
    still: float = 0.0
    active_count: int = 0
    succeeded: int = 0
    failed: int = 0
    retried: int = 0
    revoked: int = 0
    set_aside: int = 0
    results_lost: int = 0
    queues: tuple[str, ...] = ()
    obstacle: str = ""
    losing: str = ""
    clock: str = ""
    leads: bool = False
    ticks: tuple[Tick, ...] = ()
    tick_count: int = 0
    active: tuple[ActiveTask, ...] = ()


class Scoreboard:
    """One worker's page; the worker writes, the daemon reads."""

    def __init__(self, descriptor: int) -> None:
        """Map the page behind a descriptor that `create` made; the descriptor stays the caller's."""
        self._page = mmap.mmap(descriptor, SIZE)
        self._written: tuple[tuple[Any, ...], str] = ((), "")  # the newest words, and what was made of them
        self._found: tuple[bytes, tuple[Any, ...]] = (b"", ())  # the newest text, and what was read of it

    def write(self, pulse: Pulse) -> None:
        """Replace what is written; leaves out active tasks, and entries of a schedule, that don't fit."""
        numbers, words = pulse[:10], pulse[10:17]  # then comes `active`
        if words != self._written[0]:
            self._written = words, _JSON.encode(words)
        body = _NUMBERS.pack(*numbers) + f"[{self._written[1]},[{','.join(map(_encode, pulse.active))}]]".encode()
        if len(body) <= SIZE - _HEADER.size:
            self._page[: _HEADER.size + len(body)] = _HEADER.pack(len(body), zlib.crc32(body)) + body
        elif pulse.active or pulse.ticks:
            fewer, less = pulse.active[: len(pulse.active) // 2], pulse.ticks[: len(pulse.ticks) // 2]
            self.write(pulse._replace(active=fewer, ticks=less))

    def read(self) -> Pulse | None:
        """Return what is written; None where nothing is, or no pulse, or a writer was killed in the middle of it."""
        for _ in range(TRIES):
            length, checksum = _HEADER.unpack_from(self._page)
            if not _NUMBERS.size < length <= SIZE - _HEADER.size:
                return None
            body = self._page[_HEADER.size : _HEADER.size + length]
            if zlib.crc32(body) == checksum:
                try:
                    return Pulse._make(_numbers(body) + self._read(body[_NUMBERS.size :]))
                except (ValueError, RecursionError):  # RecursionError: lists in lists in lists
                    return None
        return None

    def _read(self, text: bytes) -> tuple[Any, ...]:
        if text != self._found[0]:
            self._found = text, _decode(text)
        return self._found[1]

    def close(self) -> None:
        """Unmap the page."""
        self._page.close()


def create() -> int:
    """Return the descriptor of a new, empty page, whose size nobody can change. Raises OSError."""
    descriptor = os.memfd_create("celery-agent-scoreboard", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    try:
        os.ftruncate(descriptor, SIZE)
        fcntl.fcntl(descriptor, fcntl.F_ADD_SEALS, fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SEAL)
    except OSError:
        os.close(descriptor)
        raise
    return descriptor


def _encode(task: ActiveTask) -> str:
    """Return a task as JSON, which takes a third of the time that it takes as a list."""
    limit = "null" if task.limit is None else _JSON.encode(task.limit)
    again = "true" if task.again else "false"
    return f"[{_JSON.encode(task.id)},{_JSON.encode(task.name)},{task.started!r},{limit},{again}]"


def _numbers(body: bytes) -> tuple[Any, ...]:
    numbers = _NUMBERS.unpack_from(body)
    if min(numbers) < 0 or not sum(numbers) <= _LARGEST:  # NaN is not, either
        raise ValueError("no numbers of a pulse")
    return numbers


def _decode(text: bytes) -> tuple[Any, ...]:
    """Return the fields of a pulse behind its numbers; raises ValueError, or RecursionError, for anything else."""
    match json.loads(text):
        case [
            [[*queues], obstacle, losing, clock, bool(leads), [*ticks], entries],
            [*active],
        ] if len(active) <= MOST_ACTIVE and len(ticks) <= MOST_TICKS:
            return (
                tuple(_text(each) for each in queues),
                _text(obstacle),
                _text(losing),
                _text(clock),
                leads,
                tuple(_tick(each) for each in ticks),
                _count(entries),
                tuple(_task(each) for each in active),
            )
        case _:
            raise ValueError("no pulse")


def _task(value: Any) -> ActiveTask:
    match value:
        case [identifier, name, started, limit, bool(again)]:
            until = None if limit is None else _time(limit)
            return ActiveTask(_text(identifier), _text(name), _time(started), until, again)
        case _:
            raise ValueError("no task")


def _tick(value: Any) -> Tick:
    match value:
        case [entry, last, next_one]:
            return Tick(_text(entry), None if last is None else _date(last), _date(next_one))
        case _:
            raise ValueError("no tick")


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise ValueError("no text")  # noqa: TRY004 -- of the text that was read; one kind of error for all of it
    # JSON can name halves of characters (surrogates), which can be written nowhere.
    return value.encode("utf-8", "replace").decode()


def _time(value: Any) -> float:
    if type(value) not in (int, float) or not 0 <= value <= _LARGEST:  # NaN is not, either
        raise ValueError("no time")
    return float(value)


def _date(value: Any) -> float:
    if _time(value) > _LAST_DATE:
        raise ValueError("no date")
    return float(value)


def _count(value: Any) -> int:
    if type(value) is not int or not 0 <= value <= _LARGEST:
        raise ValueError("no count")
    return value
