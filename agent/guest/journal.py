r"""systemd's journal by its native protocol: one datagram for each record, in which a value may have newlines.

    NAME=value\n                               a value without a newline
    NAME\n<length, 8 bytes, LE>value\n         any value

What does not fit into a datagram goes into a sealed memfd that is sent instead. The daemon, the template and the workers use
this. A forked process inherits the socket; the kernel adds the sender's pid to each datagram.

Sources: systemd's JOURNAL_NATIVE_PROTOCOL.md; systemd.exec(5) on $JOURNAL_STREAM.
"""

from __future__ import annotations

import array
import errno
import fcntl
import inspect
import os
import socket
import struct
from collections import deque
from collections.abc import Mapping
from enum import IntEnum

from .lines import STDERR

SOCKET = "/run/systemd/journal/socket"
SOCKET_VARIABLE = "JOURNAL_SOCKET"  # names another, where $JOURNAL_STREAM leads to one that is not systemd's
# Seconds that a process beside user code waits for a journal that takes nothing, once: until it does again, what doesn't
# go at once is lost. The daemon never waits.
PATIENCE = 1.0
MOST_UNTOLD = 1_000  # records that are kept for a journal that takes nothing; more are lost, and counted
LONGEST = 8_388_608  # bytes of one value; journald takes four times as much, and then drops the whole record

_SEALS = fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_WRITE | fcntl.F_SEAL_SEAL


class Priority(IntEnum):
    """How much a record matters; syslog(3)."""

    CRITICAL = 2
    ERROR = 3
    WARNING = 4
    INFO = 6
    DEBUG = 7


class Journal:
    """The way to the journal of this machine."""

    def __init__(self, path: str = SOCKET, patience: float = PATIENCE) -> None:
        """Take a socket; `patience` in seconds. Raises OSError."""
        self._path = path
        self._patience = patience
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.setsockopt(
            socket.SOL_SOCKET, socket.SO_SNDTIMEO, struct.pack("ll", int(patience), int(patience % 1 * 1_000_000))
        )
        self._lost = 0
        self._untold: deque[bytes] = deque()

    def fileno(self) -> int:
        """Return the socket's descriptor, which a forked process has to keep."""
        return self._socket.fileno()

    def send(self, fields: Mapping[str, object]) -> None:
        """Send one record; raises OSError where there is no journal. What a full one loses is counted and told later.

        Who has no patience keeps some records for a `flush`: the kernel queues as few as ten of them for a reader.
        """
        datagram = encode(fields)
        if self._untold and not self.flush():
            self._keep(datagram)
            return
        try:
            self._send(datagram)
        except BlockingIOError:
            self._keep(datagram)
            return
        if self._lost:
            lost, self._lost = self._lost, 0
            text = f"messages-lost count={lost}"
            self.send({**fields, "MESSAGE": text, "CELERY_EVENT": "messages-lost", "PRIORITY": Priority.WARNING})

    @property
    def is_behind(self) -> bool:
        """Whether records are kept for a `flush`."""
        return bool(self._untold)

    def flush(self) -> bool:
        """Send the records that were kept; return whether all of them went. Raises OSError where there is no journal."""
        while self._untold:
            try:
                self._send(self._untold[0])
            except BlockingIOError:
                return False
            self._untold.popleft()
        return True

    def _keep(self, datagram: bytes) -> None:
        if self._patience or len(self._untold) >= MOST_UNTOLD:
            self._lost += 1
        else:
            self._untold.append(datagram)

    def _send(self, datagram: bytes) -> None:
        flags = socket.MSG_DONTWAIT if self._lost or not self._patience else 0
        try:
            self._socket.sendto(datagram, flags, self._path)
        except OSError as error:
            if error.errno not in (errno.EMSGSIZE, errno.ENOBUFS):
                raise
            self._send_sealed(datagram, flags)

    def _send_sealed(self, datagram: bytes, flags: int) -> None:
        memory = os.memfd_create("journal-record", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
        try:
            with open(memory, "wb", closefd=False) as file:
                file.write(datagram)
            fcntl.fcntl(memory, fcntl.F_ADD_SEALS, _SEALS)
            rights = (socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [memory]))
            self._socket.sendmsg([], [rights], flags, self._path)
        finally:
            os.close(memory)


def connected(environment: Mapping[str, str], patience: float = PATIENCE) -> Journal | None:
    """Return the journal where stderr leads to it, else None: what is written is then for a terminal or a file."""
    try:
        status = os.fstat(STDERR)
        if environment.get("JOURNAL_STREAM") != f"{status.st_dev}:{status.st_ino}":
            return None
        return Journal(environment.get(SOCKET_VARIABLE) or SOCKET, patience)
    except OSError:
        return None


def identifier(instance: str, queue: str | None = None) -> str:
    """Return the name that journalctl shows in front of a record: the unit's SyslogIdentifier=, and a queue's part of it."""
    return f"celery-agent@{instance}" + ("" if queue is None else f"/{queue}")  # as postfix/smtpd


def place(depth: int) -> dict[str, object]:
    """Return the fields that say where in the code a message comes from: so many calls above the caller of this."""
    frame = inspect.currentframe()
    for _ in range(depth + 1):
        frame = None if frame is None else frame.f_back
    if frame is None:
        return {}
    code = frame.f_code
    return {"CODE_FILE": code.co_filename, "CODE_LINE": frame.f_lineno, "CODE_FUNC": code.co_name}


def encode(fields: Mapping[str, object]) -> bytes:
    """Return a record as a datagram; values that are None are left out."""
    return b"".join(_field(name.encode(), _bytes(value)) for name, value in fields.items() if value is not None)


def _bytes(value: object) -> bytes:
    text = str(int(value)) if isinstance(value, IntEnum) else str(value)
    written = text.encode(errors="backslashreplace")
    if len(written) <= LONGEST:
        return written
    return written[:LONGEST] + f"… ({len(written) - LONGEST} bytes more)".encode()


def _field(name: bytes, value: bytes) -> bytes:
    if b"\n" in value:
        return name + b"\n" + struct.pack("<Q", len(value)) + value + b"\n"
    return name + b"=" + value + b"\n"
