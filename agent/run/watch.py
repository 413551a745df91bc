"""A watch on a folder: whether something comes, goes or is moved there, or the folder itself, without looking again and again.

Source: inotify(7).
"""

from __future__ import annotations

import ctypes
import os
from contextlib import suppress
from pathlib import Path

_MOVED_FROM, _MOVED_TO, _CREATE, _DELETE, _DELETE_SELF, _MOVE_SELF = (1 << bit for bit in range(6, 12))
_EVENTS = _MOVED_FROM | _MOVED_TO | _CREATE | _DELETE | _DELETE_SELF | _MOVE_SELF
_libc = ctypes.CDLL(None, use_errno=True)


class Watch:
    """Something to register with a selector; readable when something has happened."""

    def __init__(self, folder: Path) -> None:
        """Watch a folder; raises OSError."""
        self._descriptor = _checked(_libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC))
        try:
            _checked(_libc.inotify_add_watch(self._descriptor, os.fsencode(folder), _EVENTS))
        except OSError:
            self.close()
            raise

    def fileno(self) -> int:
        """Return the descriptor."""
        return self._descriptor

    def read(self) -> None:
        """Take note of what has happened, whatever it was."""
        with suppress(BlockingIOError):
            os.read(self._descriptor, 65_536)

    def close(self) -> None:
        """End the watch."""
        os.close(self._descriptor)


def _checked(result: int) -> int:
    if result < 0:
        raise OSError(ctypes.get_errno(), f"inotify: {os.strerror(ctypes.get_errno())}")
    return result
