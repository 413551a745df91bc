"""Signals to the agent. A handler only wakes the loop; what each signal means stands in one table.

signal            meaning
----------------  --------------------------------------------------------------------------------
SIGTERM, SIGINT   drain and stop: warm at first, cold when it comes again, kill at the third time
SIGQUIT           drain and stop: cold at first, kill when it comes again
SIGHUP            reload
SIGCHLD           a child has ended
"""

from __future__ import annotations

import signal
import socket
from enum import Enum
from types import FrameType


class Meaning(Enum):
    """What a signal asks the agent to do."""

    STOP = "stop"
    STOP_COLD = "stop cold"
    RELOAD = "reload"
    REAP = "reap"


MEANINGS = {
    signal.SIGTERM: Meaning.STOP,
    signal.SIGINT: Meaning.STOP,
    signal.SIGQUIT: Meaning.STOP_COLD,
    signal.SIGHUP: Meaning.RELOAD,
    signal.SIGCHLD: Meaning.REAP,
}


class Wakeup:
    """Turns signals into bytes on a socket that a selector can wait for."""

    def __init__(self) -> None:
        """Take over the signals in MEANINGS; main thread only."""
        self._receiver, self._sender = socket.socketpair()
        self._receiver.setblocking(False)
        self._sender.setblocking(False)
        for number in MEANINGS:
            signal.signal(number, _ignore)  # a Python handler must be there, else the byte is not written
        signal.set_wakeup_fd(self._sender.fileno(), warn_on_full_buffer=False)

    def fileno(self) -> int:
        """Return the descriptor that becomes readable when a signal has come."""
        return self._receiver.fileno()

    def read(self) -> list[Meaning]:
        """Return what the signals that came mean, in their order, each kind once."""
        try:
            numbers = self._receiver.recv(4096)
        except BlockingIOError:
            return []
        return list(dict.fromkeys(MEANINGS[signal.Signals(number)] for number in numbers if number in MEANINGS))


def _ignore(number: int, frame: FrameType | None) -> None:
    pass
