"""Celery's event loop with two faults mended: it sleeps although there is work, and through signals and calls of threads."""

import signal
import socket
import threading
from contextlib import suppress
from functools import partial
from typing import Any

from celery import bootsteps

from celery_delivery import internals, mending


class ReadyFirst(bootsteps.StartStopStep):
    """Has the hub poll without waiting while callbacks are ready.

    `register_with_event_loop` runs at every (re)connect; the hub has a new poller after each of them.
    """

    requires = ("celery.worker.consumer.tasks:Tasks",)

    def include_if(self, _consumer: Any) -> bool:
        """Say whether the mend applies."""
        return mending.applies(internals.worker.READY_FIRST)

    def register_with_event_loop(self, _consumer: Any, hub: Any) -> None:
        """Put ourselves before the poller's own method."""
        hub.poller.poll = partial(self._poll, hub, type(hub.poller))

    @staticmethod
    def _poll(hub: Any, poller: Any, timeout: float | None) -> Any:
        return poller.poll(hub.poller, 0 if hub._ready else timeout)


class WakeOnSignal(bootsteps.StartStopStep):
    """Ends the hub's poll when a signal comes, so that a shutdown begins at once; and when a thread has an ack to be sent.

    `register_with_event_loop` runs at every (re)connect; the hub forgets its readers at each of them.
    """

    requires = ("celery.worker.consumer.tasks:Tasks",)
    _ends: tuple[socket.socket, socket.socket] | None = None

    def include_if(self, _consumer: Any) -> bool:
        """Say whether the mend applies."""
        return mending.applies(internals.worker.WAKE_ON_SIGNAL)

    def register_with_event_loop(self, _consumer: Any, hub: Any) -> None:
        """Have the hub watch the end that the interpreter writes to when a signal comes."""
        if WakeOnSignal._ends is None:
            receiver, sender = socket.socketpair()
            receiver.setblocking(False)
            sender.setblocking(False)
            WakeOnSignal._ends = (receiver, sender)
        receiver, sender = WakeOnSignal._ends
        signal.set_wakeup_fd(sender.fileno(), warn_on_full_buffer=False)
        hub.add_reader(receiver.fileno(), self._drain, receiver)
        if not hasattr(hub, "_create_waker"):  # kombu does the same itself since 5.7
            hub.call_soon = partial(self._call_soon, hub, sender)

    @staticmethod
    def _call_soon(hub: Any, sender: socket.socket, *call: Any) -> Any:
        called = type(hub).call_soon(hub, *call)
        if threading.current_thread() is not threading.main_thread():
            with suppress(BlockingIOError):  # it is awake
                sender.send(b"\0")
        return called

    def _drain(self, receiver: socket.socket) -> None:
        try:
            receiver.recv(4096)
        except BlockingIOError:
            pass
