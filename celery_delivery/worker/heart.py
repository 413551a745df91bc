"""Heartbeats for a connection whose own thread is busy with a task, as it is in the solo pool.

A broker that hears nothing for two heartbeats cuts the connection: the task's ack finds it gone, and the task runs again.
What the broker says meanwhile is read after the task, before Celery asks whether it has been heard.
"""

import threading
from collections.abc import Callable
from functools import partial
from typing import Any


class Heart:
    """Beats while a task runs; costs nothing while none does.

    The thread writes only during `beat_while`, where the connection's own thread does not: two at once can break TLS.
    """

    def __init__(self) -> None:
        """Have no thread before the first task."""
        self._lock = threading.Lock()
        self._connection: Any = None  # of py-amqp, while a task runs
        self._was_used = False  # since the thread last looked
        self._is_asleep = True
        self._asked: Any = None  # of kombu
        self._has_beats = False  # the embedded broker's have none
        self._wake = threading.Event()
        self._thread: threading.Thread | None = None

    def beating(self, consumer: Any, run: Callable[[Any], None]) -> Callable[[Any], None]:
        """Return what runs a request by `run`, with heartbeats where the consumer's connection has some."""
        return partial(self._run, consumer, run)

    def _run(self, consumer: Any, run: Callable[[Any], None], request: Any) -> None:
        connection = consumer.connection
        # Once for each that the consumer makes, which may lead to a broker of another kind: kombu takes long to answer.
        if connection is not self._asked:
            self._asked, self._has_beats = connection, connection.supports_heartbeats
        if self._has_beats:
            self.beat_while(connection.connection, run, request)
        else:
            run(request)

    def beat_while(self, connection: Any, run: Callable[[Any], Any], request: Any) -> None:
        """Run a request, and beat for a connection of py-amqp, at half of the interval that was agreed upon with the broker."""
        if not connection.heartbeat:
            run(request)
            return
        with self._lock:
            self._connection = connection
            self._was_used = True
            if self._is_asleep:
                self._awake()
        try:
            run(request)
        finally:
            with self._lock:
                self._connection = None

    def _awake(self) -> None:
        self._is_asleep = False
        self._wake.set()
        if self._thread is None:
            interval = self._connection.heartbeat / 2
            self._thread = threading.Thread(target=self._beat, args=(interval,), name="heart", daemon=True)
            self._thread.start()

    def _beat(self, interval: float) -> None:
        pause = threading.Event()
        while True:
            self._wake.wait()
            pause.wait(interval)
            with self._lock:
                if self._connection is not None:
                    self._send()
                elif not self._was_used:
                    self._is_asleep = True
                    self._wake.clear()
                self._was_used = False

    def _send(self) -> None:
        try:
            self._connection.send_heartbeat()
        except OSError:
            pass  # its own thread will meet the same
