"""Why a process can't store results at present, for whoever wants to tell of it; and those that it could not."""

import time
from collections.abc import Callable

from celery.exceptions import BackendError, BackendStoreError
from kombu.utils.functional import LRUCache

MOST_KEPT = 100  # results; a worker whose connection was lost has no more tasks delivered again that it has run


class Losses:
    """Why results can't be stored at present, as this process has found.

    reason: empty where they can.
    tell: called with what each attempt came to, since another process may have found otherwise.
    lost: called for each task whose result could not be stored when it ended.
    """

    def __init__(self) -> None:
        self.reason = ""
        self.tell: Callable[[str], None] = lambda _reason: None
        self.lost: Callable[[], None] = lambda: None
        self._trying = ""  # the task of which a result that is kept is being stored
        self._not_before = 0.0  # by the monotonic clock
        self._kept = LRUCache(limit=MOST_KEPT)  # what stores a result, by task id

    def note(self, reason: str, seconds: float) -> None:
        """Note what came of an attempt that took so long."""
        if reason and self.reason:
            self._not_before = time.monotonic() + seconds
        self.reason = reason
        self.tell(reason)

    def check(self) -> None:
        """Raise BackendStoreError where the last attempt has just come to nothing, and took long.

        A store that doesn't answer is asked half of the time: tasks, and heartbeats, come between.
        """
        if self.reason and time.monotonic() < self._not_before:
            raise BackendStoreError(self.reason)

    def keep(self, task_id: str, store: Callable[[], object]) -> None:
        """Keep what stores a task's result, which could not be stored, in case its message is delivered again."""
        self._kept[task_id] = store
        if task_id != self._trying:
            self.lost()

    def store_again(self, task_id: str) -> None:
        """Store the result of a task that has run and is not run again, if it could not be stored when it ended."""
        store = self._kept.pop(task_id, None)
        if store is not None:
            self._trying = task_id
            store()
            self._trying = ""


losses = Losses()


def reason_of(error: BaseException) -> str:
    """Return why a store could not be asked, in a line: of several, SQLAlchemy's among them, the first."""
    cause = (error.__cause__ or error.__context__ or error) if isinstance(error, BackendError) else error
    return (str(cause).strip() or repr(cause)).splitlines()[0]
