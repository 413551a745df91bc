"""Results for event loops: one thread waits for all that are awaited, however many there are.

loop ── result, future ──> thread ── reads the broker or Redis, or asks another store ──> future is done ──> loop
"""

import threading
import time
from collections.abc import Iterable
from concurrent.futures import Future, InvalidStateError
from contextlib import suppress
from queue import Empty, SimpleQueue
from typing import Any

from celery import Celery
from celery.backends.asynchronous import AsyncBackendMixin
from vine import promise

from celery_delivery import forks

ROUND = 0.1  # seconds to read for, until it is looked what is awaited since, and what is not any more
POLL = 0.5  # seconds until a store that does not tell of results is asked again, as in Celery's own `.get()`
_NEVER = promise()  # is not kept: who reads goes by what is in the results


class Watch:
    """Waits for the results of an app; its thread begins with the first of them, and stays."""

    def __init__(self, app: Celery) -> None:
        self._app = app
        self._beginning = threading.Lock()
        self._thread: threading.Thread | None = None
        self._new: SimpleQueue[tuple[Any, Future[None]]] = SimpleQueue()
        self._awaited: dict[Future[None], Any] = {}
        self._done: SimpleQueue[Future[None]] = SimpleQueue()  # or cancelled

    def future(self, result: Any) -> Future[None]:
        """Return what is done when a result is in its cache; or has the error by which the store can't be asked.

        One that is cancelled is not waited for any longer.
        """
        future: Future[None] = Future()
        self._new.put((result, future))
        with self._beginning:
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="celery-results", daemon=True)
                self._thread.start()
        return future

    def _run(self) -> None:
        while True:
            new = [self._new.get()]
            try:
                backend = self._app.backend  # of this thread alone, unless it is made for all of them
            except Exception as error:  # of whatever library makes it
                _settle(new[0][1], error)
                continue
            store = _Telling(backend) if isinstance(backend, AsyncBackendMixin) else _Asked(backend)
            while new or self._awaited:
                for result, future in new:
                    self._begin(store, result, future)
                self._end(store)
                if self._awaited:
                    self._wait(store)
                new = _taken(self._new)

    def _begin(self, store: "_Asked", result: Any, future: Future[None]) -> None:
        self._awaited[future] = result
        future.add_done_callback(self._done.put)
        try:
            result.on_ready.then(lambda *_: _settle(future), on_error=lambda *_: _settle(future))
            store.begin(result)
        except Exception as error:  # of whatever library asks the store
            _settle(future, error)

    def _wait(self, store: "_Asked") -> None:
        try:
            store.wait(self._awaited.values())
        except Exception as error:  # the same for all
            for future in self._awaited:
                _settle(future, error)
        self._end(store)

    def _end(self, store: "_Asked") -> None:
        for future in _taken(self._done):
            result = self._awaited.pop(future)
            if result._cache or not any(each is result for each in self._awaited.values()):
                store.end(result)


class _Asked:
    """A store that is asked for one result after another."""

    def __init__(self, backend: Any) -> None:
        self.backend = backend

    def begin(self, result: Any) -> None:
        """Ask for a result."""
        result._maybe_set_cache(self.backend.get_task_meta(result.id))

    def wait(self, results: Iterable[Any]) -> None:
        """Ask for results, after a while."""
        time.sleep(POLL)
        for result in results:
            self.begin(result)

    def end(self, result: Any) -> None:
        """Do nothing: nothing is kept for a result."""


class _Telling(_Asked):
    """A store that tells of results."""

    def begin(self, result: Any) -> None:
        """Have the store tell of a result, or take what is there."""
        self.backend.add_pending_result(result)
        if not result._cache:
            self.backend.result_consumer.on_wait_for_pending(result)

    def wait(self, _results: Iterable[Any]) -> None:
        """Read what the store tells."""
        consumer = self.backend.result_consumer
        with suppress(TimeoutError):
            consumer.drainer.wait_for(_NEVER, consumer.drain_events, timeout=ROUND)

    def end(self, result: Any) -> None:
        """Leave what was begun for a result."""
        self.backend.remove_pending_result(result)


def _settle(future: Future[None], error: Exception | None = None) -> None:
    """Say what came of it, unless it is cancelled, or was said before."""
    with suppress(InvalidStateError):
        if error is None:
            future.set_result(None)
        else:
            future.set_exception(error)


def _taken(queue: SimpleQueue[Any]) -> list[Any]:
    """Return what is in a queue."""
    taken = []
    with suppress(Empty):
        while True:
            taken.append(queue.get_nowait())
    return taken


def watch_of(app: Celery) -> Watch:
    """Return what waits for the results of an app in this process; apps that share a backend share it."""
    key = app.backend if app.backend.thread_safe else app
    if key not in _watches:
        forks.let_go_in_children(_watches.clear)
    return _watches.setdefault(key, Watch(app))


_watches: dict[Any, Watch] = {}
