"""The places of a prefork pool: one that is free again goes to the next task, and to the next if that one is not run.

Stock Celery goes from one task that expired in the worker to the next by calls within calls. Some 500 of them are more than
Python's stack holds: the worker ends, and runs again what was running (celery #6736).
"""

from collections.abc import Callable
from typing import Any


def spare_the_stack(controller: Any) -> None:
    """Have a worker's controller give its places on without calls within calls; that of other pools has none."""
    if hasattr(controller, "_quick_release"):
        controller._quick_release = _Release(controller._quick_release)


class _Release:
    """Gives a place to the next task, and does not call itself."""

    def __init__(self, release: Callable[[], None]) -> None:
        """Take the one that does."""
        self._release = release
        self._due = 0
        self._is_busy = False

    def __call__(self) -> None:
        """Give a place to the next task, or have the call that is on its way do so."""
        self._due += 1
        if self._is_busy:
            return
        self._is_busy = True
        try:
            while self._due:
                self._due -= 1
                self._release()
        finally:
            self._is_busy = False
