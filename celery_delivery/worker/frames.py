"""A frame on its way to the broker, which is written to its end before a signal is handled.

Celery's handler of SIGQUIT cancels its consumer, acks and stops the pool below whatever it has interrupted. Where that is
py-amqp writing a frame, whose lock is not reentrant, the worker waits for itself for ever and its queue with it: seen once in
three signals, at 150 tasks a second.
"""

import signal
import threading
from collections.abc import Callable
from functools import partial
from types import FrameType
from typing import Any

SIGNALS = (signal.SIGINT, signal.SIGQUIT, signal.SIGTERM)

Handler = Callable[[int, FrameType | None], Any]


class WholeFrames:
    """Has signals wait; only the main thread handles them, so that only its frames are watched."""

    def __init__(self) -> None:
        self._is_writing = False
        self._missed: list[Callable[[], Any]] = []

    def guard(self, connection: Any) -> None:
        """Watch the frames that are written to a connection of py-amqp."""
        connection.frame_writer = partial(self._write, connection.frame_writer)

    def hold_signals(self) -> None:
        """Have the handlers that are installed now wait for a frame; does nothing outside the main thread."""
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
            while self._missed:
                self._missed.pop(0)()

    def _handle(self, handler: Handler, number: int, frame: FrameType | None) -> None:
        handle = partial(handler, number, frame)
        if self._is_writing:
            self._missed.append(handle)
        else:
            handle()


class _Held(partial[None]):
    """A handler that waits for a frame."""
