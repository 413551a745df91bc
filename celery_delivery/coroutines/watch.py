"""Whether the event loop turns: a task that blocks it keeps all others of its process waiting, and nothing else tells."""

import sys
import threading
import time
import traceback
from asyncio import Handle
from collections.abc import Callable
from types import FrameType
from typing import Any

from celery.utils.log import get_logger

from celery_delivery.coroutines.stacks import present

STILL = 4.0  # seconds without an answer

_log = get_logger(__name__)


class Watch:
    """Asks the loop now and then; by whoever waits for it, so that nobody is woken where nothing runs."""

    def __init__(self, call: Callable[[Callable[[], None]], None], thread: threading.Thread) -> None:
        """Take what has the loop call a function, and its thread."""
        self._call = call
        self._thread = thread
        self._looking = threading.Lock()
        self._asked: float | None = None  # when, in seconds of the monotonic clock; None once it has answered
        self._was_told = False

    def look(self) -> None:
        """Ask, or tell in the log, once, who keeps the loop from answering."""
        if not self._looking.acquire(blocking=False):
            return
        try:
            now = time.monotonic()
            if self._asked is None:
                self._asked = now
                self._call(self._answer)
            elif now - self._asked > STILL and not self._was_told:
                self._was_told = True
                text = "%s has blocked the event loop for %.0f s: all coroutines of this process stand still\n%s"
                frames = sys._current_frames()  # noqa: SLF001 - documented, and there is no other
                who, where = _culprit(frames.get(self._thread.ident or 0))
                _log.error(text, who, now - self._asked, where)
        finally:
            self._looking.release()

    def _answer(self) -> None:
        if self._was_told and self._asked is not None:
            _log.warning("The event loop turns again, after %.0f s", time.monotonic() - self._asked)
        self._asked, self._was_told = None, False


def _culprit(frame: FrameType | None) -> tuple[str, str]:
    """Return the task on whose behalf the loop is in a frame, and the calls that lead there from the loop."""
    calls: list[str] = []
    while frame is not None:
        handle = frame.f_locals.get("self") if frame.f_code.co_name == "_run" else None
        if isinstance(handle, Handle):
            context: Any = getattr(handle, "_context", {})
            scope = context.get(present)
            return "Something outside of a task" if scope is None else f"Task {scope}", "".join(calls).rstrip()
        calls[:0] = traceback.format_stack(frame, limit=1)
        frame = frame.f_back
    return "A task", "".join(calls).rstrip()
