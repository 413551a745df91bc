"""Results in memory, in JSON as they would travel."""

from typing import Any

from celery.backends.base import KeyValueStoreBackend
from celery.exceptions import TimeoutError as NoResult
from celery.states import READY_STATES

from celery_delivery.results.exceptions import Faithful
from celery_delivery.results.sequels import Sequels


class StubResults(Faithful, Sequels, KeyValueStoreBackend):
    """Celery's backend for one app, over a mapping that the apps of a test share."""

    never_waits = True

    def __init__(self, store: dict[Any, Any], **options: Any) -> None:
        super().__init__(**options)
        self._store = store

    def get(self, key: Any) -> Any:
        """Return what is stored, None where nothing is."""
        return self._store.get(key)

    def mget(self, keys: Any) -> Any:
        """Return what is stored for each key."""
        return [self._store.get(key) for key in keys]

    def set(self, key: Any, value: Any) -> None:
        """Store a result, or what is known of a task."""
        self._store[key] = value

    def delete(self, key: Any) -> None:
        """Forget a result."""
        self._store.pop(key, None)

    def wait_for(self, task_id: str, *_args: Any, **_options: Any) -> Any:
        """Return what is known of a task that has ended; raises Celery's TimeoutError at once: waiting would not run it."""
        known = self.get_task_meta(task_id)
        if known["status"] not in READY_STATES:
            raise NoResult(
                f"task {task_id} has not ended: run it by broker.work(app), after broker.advance(…) if it waits"
            )
        return known
