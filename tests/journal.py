"""A journal for tests: a real datagram socket that takes what systemd's takes, and keeps it."""

from __future__ import annotations

import array
import mmap
import os
import socket
import struct
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import TracebackType

Record = dict[str, str]

LARGEST = 1_048_576  # bytes of a datagram; beyond what the kernel lets a sender send at once
# What the journal's socket is put into the place of, for one program and what it starts.
IN_ITS_PLACE = """
mount -t tmpfs tmpfs /run && mkdir -p /run/systemd/journal && touch /run/systemd/journal/socket &&
mount --bind "$0" /run/systemd/journal/socket && exec "$@"
"""


class Journal:
    """Listens at a path, in a thread of its own: a sender must not wait for a test."""

    def __init__(self, path: Path) -> None:
        """Bind the socket."""
        self.path = path
        self.received: list[tuple[int, Record]] = []
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(str(path))
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
        self._thread = threading.Thread(target=self._listen, daemon=True)

    def __enter__(self) -> Journal:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._socket.shutdown(socket.SHUT_RDWR)
        self._thread.join()
        self._socket.close()

    def records(self, **fields: str) -> list[Record]:
        """Return the records that have these fields."""
        return [record for _, record in list(self.received) if fields.items() <= record.items()]

    def wrapper(self) -> Sequence[str]:
        """Return what to put before a program's arguments so that it finds this journal in the place of systemd's."""
        who = [] if os.geteuid() == 0 else ["--map-root-user"]
        return ["unshare", "--mount", *who, "sh", "-c", IN_ITS_PLACE, str(self.path)]

    def _listen(self) -> None:
        room = socket.CMSG_SPACE(12) + socket.CMSG_SPACE(4)
        while True:
            datagram, extra, _, _ = self._socket.recvmsg(LARGEST, room)
            pid, descriptors = 0, array.array("i")
            for level, kind, data in extra:
                if level == socket.SOL_SOCKET and kind == socket.SCM_CREDENTIALS:
                    pid = struct.unpack("3i", data)[0]
                elif level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
                    descriptors.frombytes(data)
            for descriptor in descriptors:
                with mmap.mmap(descriptor, 0, prot=mmap.PROT_READ) as page:
                    datagram = bytes(page)
                os.close(descriptor)
            if not datagram:
                return
            self.received.append((pid, dict(parse(datagram))))


def parse(datagram: bytes) -> Iterator[tuple[str, str]]:
    """Yield the fields of a record, as JOURNAL_NATIVE_PROTOCOL.md describes them."""
    at = 0
    while at < len(datagram):
        end = datagram.index(b"\n", at)
        name, equals, value = datagram[at:end].partition(b"=")
        at = end + 1
        if not equals:
            (length,) = struct.unpack_from("<Q", datagram, at)
            value = datagram[at + 8 : at + 8 + length]
            at += 8 + length
            assert datagram[at : at + 1] == b"\n"
            at += 1
        yield name.decode(), value.decode()
