"""Writing to stdout or stderr without waiting for whoever reads there, and without an error when nobody does.

Both are inherited, and O_NONBLOCK on them would be set for everybody who has them: the shell's terminal, for one. So each
write is made so that it alone does not wait:

    pipe, FIFO, terminal   opened once more through /proc, with O_NONBLOCK; where that is not allowed (they belong to
                           another user), poll(2) first, then at most PIPE_BUF bytes, which a ready pipe has room for
    socket                 MSG_DONTWAIT
    file                   as it is: opened once more, it would be written from its beginning

Opening anew for each write costs some microseconds, and leaves no descriptor behind that a forked process has to know of.

Sources: pipe(7), fifo(7), open(2), send(2).
"""

from __future__ import annotations

import os
import select
import socket
import stat
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

STDOUT = 1
STDERR = 2


class Lines:
    """One of this process's standard descriptors; what finds no room there is dropped, counted, and told of later."""

    def __init__(self, name: str, patience: float = 0.0, descriptor: int = STDERR) -> None:
        """Write to a descriptor.

        name: stands before the line that tells how many were dropped.
        patience: seconds to wait for room, once; as long as none was found, the next lines don't wait.
        """
        self.descriptor = descriptor
        self._name = name
        self._patience = patience
        self._dropped = 0
        self._is_torn = False

    def write(self, line: bytes) -> None:
        """Write a line with its newline, or drop it; raises nothing."""
        patience = self._patience
        if self._dropped:
            patience = 0.0
            if self._put(f"{self._name}: messages-lost count={self._dropped}\n".encode(), patience):
                self._dropped = 0
        if self._dropped or not self._put(line, patience):
            self._dropped += 1

    def _put(self, line: bytes, patience: float) -> bool:
        """Write a line; return whether all of it was taken."""
        whole = unsent = b"\n" + line if self._is_torn else line
        try:
            with _way_to(self.descriptor) as send:
                give_up = time.monotonic() + patience
                while unsent:
                    try:
                        unsent = unsent[send(unsent) :]
                    except BlockingIOError:
                        left = give_up - time.monotonic()
                        if left <= 0.0 or not _has_room(self.descriptor, left):
                            break
        except OSError:  # nobody reads any more, the disk is full, or nothing was ever there
            pass
        if unsent != whole:
            self._is_torn = bool(unsent)
        return unsent in {b"", b"\n"}  # a newline that is missing comes with the next line


@contextmanager
def _way_to(descriptor: int) -> Iterator[Callable[[bytes], int]]:
    """Give what writes as many bytes as there is room for; it raises BlockingIOError where there is none."""
    mode = os.fstat(descriptor).st_mode
    if stat.S_ISSOCK(mode):
        with socket.socket(fileno=os.dup(descriptor)) as end:
            yield lambda line: end.send(line, socket.MSG_DONTWAIT)
    elif stat.S_ISFIFO(mode) or stat.S_ISCHR(mode):
        own = _opened_anew(descriptor)
        if own is None:
            yield lambda line: _write_if_ready(descriptor, line)
            return
        try:
            yield lambda line: os.write(own, line)
        finally:
            os.close(own)
    else:
        yield lambda line: os.write(descriptor, line)


def _opened_anew(descriptor: int) -> int | None:
    try:
        return os.open(f"/proc/self/fd/{descriptor}", os.O_WRONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
    except OSError:
        return None


def _write_if_ready(descriptor: int, line: bytes) -> int:
    # Another process may take the room between the two calls; nothing better is to be had here.
    if not _has_room(descriptor, 0.0):
        raise BlockingIOError
    return os.write(descriptor, line[: select.PIPE_BUF])


def _has_room(descriptor: int, seconds: float) -> bool:
    """Wait for room for so many seconds, or not at all; return whether there is some."""
    poll = select.poll()
    poll.register(descriptor, select.POLLOUT)
    return bool(poll.poll(max(0.0, seconds) * 1000))
