"""What the agent, its workers and their tasks say, as records: this process is the journal that they write to.

Source: systemd's JOURNAL_NATIVE_PROTOCOL.md, as in `agent.guest.journal`.
"""

from __future__ import annotations

import array
import os
import socket
import struct
from collections.abc import Iterator
from pathlib import Path

Record = dict[str, str]

LARGEST = 1_048_576  # bytes of a datagram; a larger record comes as a memfd


class Records:
    """The socket that records come to."""

    def __init__(self, path: Path) -> None:
        """Bind it; raises OSError."""
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(str(path))
        self._socket.setblocking(False)

    def fileno(self) -> int:
        """Return the descriptor that is readable when there are records."""
        return self._socket.fileno()

    def read(self) -> Iterator[Record]:
        """Yield the records that are there; what is none is left out."""
        while True:
            try:
                datagram, extra, _, _ = self._socket.recvmsg(LARGEST, socket.CMSG_SPACE(4), socket.MSG_CMSG_CLOEXEC)
            except BlockingIOError:
                return
            for level, kind, data in extra:
                if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS):
                    datagram = _content(array.array("i", data)[0])
            try:
                yield decode(datagram)
            except ValueError:  # user code may write there too
                continue

    def close(self) -> None:
        """Close the socket."""
        self._socket.close()


def decode(datagram: bytes) -> Record:
    """Return the record that a datagram holds; raises ValueError."""
    record = {}
    at = 0
    while at < len(datagram):
        end = datagram.index(b"\n", at)
        name, has_value, value = datagram[at:end].partition(b"=")
        at = end + 1
        if not has_value:
            if len(datagram) < at + 8:
                raise ValueError("a field without its length")
            (length,) = struct.unpack_from("<Q", datagram, at)
            value = datagram[at + 8 : at + 8 + length]
            at += 8 + length + 1
        record[name.decode(errors="replace")] = value.decode(errors="replace")
    return record


def _content(descriptor: int) -> bytes:
    with open(descriptor, "rb") as file:
        return os.pread(file.fileno(), os.fstat(file.fileno()).st_size, 0)
