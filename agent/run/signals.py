"""Signals to the agent. A handler only wakes the loop; what each signal means stands in one table.

signal            meaning
----------------  --------------------------------------------------------------------------------
SIGTERM, SIGINT   drain and stop: warm at first, cold when it comes again, kill at the third time
SIGQUIT           drain and stop: cold at first, kill when it comes again
SIGHUP            reload
SIGCHLD           a child has ended
others            nothing; by default they would end the agent, and with it every worker of the node

Left as they are: what can't be caught, what a fault of the agent's own raises, what the watchdog ends it with (SIGABRT), and
what stops and continues a program in a terminal.
"""

from __future__ import annotations

import signal
import socket
from contextlib import suppress
from enum import Enum
from types import FrameType


class Meaning(Enum):
    """What a signal asks the agent to do."""

    STOP = "stop"
    STOP_COLD = "stop cold"
    RELOAD = "reload"
    REAP = "reap"
    NOTHING = "nothing"


LEFT = frozenset(
    {
        *(signal.SIGKILL, signal.SIGSTOP),
        *(signal.SIGSEGV, signal.SIGBUS, signal.SIGFPE, signal.SIGILL, signal.SIGTRAP, signal.SIGSYS, signal.SIGABRT),
        *(signal.SIGTSTP, signal.SIGTTIN, signal.SIGTTOU, signal.SIGCONT),
        *(signal.SIGPIPE, signal.SIGURG, signal.SIGWINCH),  # ignored by Python or by default
    }
)
MEANINGS: dict[int, Meaning] = {
    signal.SIGTERM: Meaning.STOP,
    signal.SIGINT: Meaning.STOP,
    signal.SIGQUIT: Meaning.STOP_COLD,
    signal.SIGHUP: Meaning.RELOAD,
    signal.SIGCHLD: Meaning.REAP,
}
MEANINGS |= dict.fromkeys(signal.valid_signals() - LEFT - MEANINGS.keys(), Meaning.NOTHING)


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
            with suppress(OSError):  # one that the C library keeps for itself
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
        in_order = dict.fromkeys(MEANINGS[number] for number in numbers if number in MEANINGS)
        return [*(meaning for meaning in in_order if meaning in come), *(each for each in come if each not in in_order)]

    def _note(self, number: int, _frame: FrameType | None) -> None:
        self._come[MEANINGS[number]] = None
        try:
            # No signal's number: the signal's own byte may have been read before this was noted.
            self._sender.send(b"\0")
        except BlockingIOError:  # full, which wakes as well
            pass
