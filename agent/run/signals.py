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
    """Wakes a selector for each signal, and keeps what the signals mean until it is read.

    The bytes in the pipe only wake. It holds some hundred of them, and a node's workers can end all at once: whatever
    does not fit is kept by the handlers.
    """

    def __init__(self) -> None:
        """Take over the signals in MEANINGS; main thread only."""
        self._receiver, self._sender = socket.socketpair()
        self._receiver.setblocking(False)
        self._sender.setblocking(False)
        self._come: dict[Meaning, None] = {}  # a dict for its order
        for number in MEANINGS:
            signal.signal(number, self._note)
        # Handlers run between two steps of the interpreter, and not at all while a select() waits: the byte ends that.
        signal.set_wakeup_fd(self._sender.fileno(), warn_on_full_buffer=False)

    def fileno(self) -> int:
        """Return the descriptor that becomes readable when a signal has come."""
        return self._receiver.fileno()

    def read(self) -> list[Meaning]:
        """Return what the signals that came mean, each kind once, in their order as far as the pipe could hold it."""
        try:
            numbers = self._receiver.recv(4096)
        except BlockingIOError:
            numbers = b""
        come, self._come = self._come, {}
        # Handlers run in the order of the signals' numbers; the bytes are in the order in which the signals came.
        in_order = dict.fromkeys(MEANINGS[signal.Signals(number)] for number in numbers if number in MEANINGS)
        return [*(meaning for meaning in in_order if meaning in come), *(each for each in come if each not in in_order)]

    def _note(self, number: int, _frame: FrameType | None) -> None:
        self._come[MEANINGS[signal.Signals(number)]] = None
        try:
            self._sender.send(
                b"\0"
            )  # no signal's number: the signal's own byte may have been read before this was noted
        except BlockingIOError:  # full, which wakes as well
            pass
