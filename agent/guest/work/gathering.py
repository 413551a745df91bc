"""What is written bit by bit, gathered to messages: `print` writes its arguments and its newline one by one.

What is written up to a newline at the end of a write, or a flush, is one message; a newline inside an argument ends nothing.
Each task has its own message, also where coroutines take turns in one thread, and each thread outside of tasks.
"""

from __future__ import annotations

import threading
from typing import Any

from celery._state import get_current_task

MOST_PENDING = 65_536  # characters without a newline that are held back for the rest of their message


class Gathering:
    """The messages of one stream that are not whole yet; `where` is what a caller keeps beside the newest bit."""

    def __init__(self) -> None:
        self._local = threading.local()

    def is_whole_with(self, text: str, where: Any = None) -> bool:
        """Add text to the message of this task or thread; say whether that is to be taken now."""
        whole = self._waiting().get(_task_id(), ("", None))[0] + text
        self._waiting()[_task_id()] = whole, where
        return text.endswith("\n") or len(whole) > MOST_PENDING

    def take(self) -> tuple[str, Any]:
        """Return what has been added, without the newlines at its end, and where the newest bit of it was written."""
        waiting = self._waiting()
        if not waiting:  # as at the end of nearly each task; asking who runs takes longer than this
            return "", None
        text, where = waiting.pop(_task_id(), ("", None))
        return text.rstrip("\n"), where

    def _waiting(self) -> dict[str, tuple[str, Any]]:
        """Return what this thread has written and not sent, and where, by the tasks' ids."""
        waiting: dict[str, tuple[str, Any]] = vars(self._local)
        return waiting


def _task_id() -> str:
    """Return the id of the task that is running, "" where there is none."""
    task = get_current_task()
    return "" if task is None else str(task.request.id or "")
