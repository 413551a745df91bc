"""A line of text in memory that a process shares with those that it forks: any of them writes it, one reads."""

from __future__ import annotations

import mmap

SIZE = 1_024  # bytes


class Slip:
    """Holds the newest line, at most SIZE bytes of it; two that write at once may mix theirs."""

    def __init__(self) -> None:
        """Have an empty one."""
        self._page = mmap.mmap(-1, SIZE)

    def write(self, text: str) -> None:
        """Replace what is written; costs nothing where nothing is, nor was."""
        if not text and not self._page[0]:
            return
        self._page[:] = text.encode("utf-8", "replace")[:SIZE].ljust(SIZE, b"\0")

    def read(self) -> str:
        """Return what is written; costs nothing where nothing is."""
        if not self._page[0]:
            return ""
        return self._page[:].rstrip(b"\0").decode("utf-8", "replace")
