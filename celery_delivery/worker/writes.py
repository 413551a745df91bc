"""What a worker writes, to the broker or to a pool's process, is written to its end before a signal is handled.

Celery's handler of SIGQUIT cancels its consumer, acks and stops the pool below whatever it has interrupted:

    interrupted                                           seen
    ----------------------------------------------------  -----------------------------------------------------------------
    py-amqp writing a frame, whose lock is not reentrant  the worker waits for itself for ever: 1 signal in 3, at 150 tasks/s
    the pool writing a job to a process                   the word to stop is written into the job, the process waits for
                                                          the rest of it, and the worker for the process: 1 signal in 14
"""

import signal
import threading
import time
from collections.abc import Callable
from functools import partial
from types import FrameType
from typing import Any

SIGNALS = (signal.SIGINT, signal.SIGQUIT, signal.SIGTERM)
PATIENCE = 1.0  # seconds for the pool's jobs; a process that takes none of it for so long is stuck, and not waited for

Handler = Callable[[int, FrameType | None], Any]


class WholeWrites:
    """Has signals wait; only the main thread handles them, so that only its writes are watched."""

    def __init__(self, pool: Any) -> None:
        """Watch a worker's pool, one of processes or another."""
        self._pool = pool
        self._is_writing = False  # a frame
        self._missed: list[Callable[[], Any]] = []
        self._deadline: float | None = None  # for the jobs that a signal waits for, by the monotonic clock

    def guard(self, connection: Any) -> None:
        """Watch the frames that are written to a connection of py-amqp."""
        connection.frame_writer = partial(self._write, connection.frame_writer)

    def catch_up(self) -> None:
        """Handle the signals that have waited, if they need not wait longer; the worker's loop calls this at each turn."""
        while self._missed and not self._must_wait():
            self._missed.pop(0)()

    def hold_signals(self) -> None:
        """Have the handlers that are installed now wait for what is being written; nothing outside the main thread."""
        if threading.current_thread() is not threading.main_thread():
            return
        for number in SIGNALS:
            handler = signal.getsignal(number)
            if callable(handler) and not isinstance(handler, _Held):
                signal.signal(number, _Held(self._handle, handler))

    def _write(self, write: Callable[..., None], *frame: Any) -> None:
        if threading.current_thread() is not threading.main_thread():
            write(*frame)
            return
        self._is_writing = True
        try:
            write(*frame)
        finally:
            self._is_writing = False
            self.catch_up()

    def _handle(self, handler: Handler, number: int, frame: FrameType | None) -> None:
        self._missed.append(partial(handler, number, frame))
        self.catch_up()

    def _must_wait(self) -> bool:
        if self._is_writing:
            return True
        if not self._has_half_a_job():
            self._deadline = None
            return False
        if self._deadline is None:
            self._deadline = time.monotonic() + PATIENCE
        return time.monotonic() < self._deadline

    def _has_half_a_job(self) -> bool:
        processes = getattr(self._pool, "_pool", None)
        return bool(getattr(processes, "_active_writers", ()))


class _Held(partial[None]):
    """A handler that waits for a write."""
