"""Where an instance's control socket is, and a name for it that is short enough: the kernel takes 107 bytes of a path."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


def socket_in(folder: Path) -> Path:
    """Return the place of the control socket in an instance's runtime folder."""
    return folder / "control.sock"


def last_word_in(folder: Path) -> Path:
    """Return the place of what an agent has written there that ended by an error, until another one is started."""
    return folder / "ended"


@contextmanager
def short(path: Path) -> Iterator[str]:
    """Give a short name for a socket's path, good while this process is in the context; raises OSError without its folder."""
    folder = os.open(path.parent, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield f"/proc/self/fd/{folder}/{path.name}"
    finally:
        os.close(folder)
