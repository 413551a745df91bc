"""A file for node_exporter's textfile collector: whoever reads it finds the whole of one answer, whatever happens meanwhile."""

from __future__ import annotations

import os
from pathlib import Path

from agent.cli.plain import plain
from agent.errors import AgentError

SUFFIX = ".prom"
READABLE = 0o644  # node_exporter is another user


def write_textfile(path: Path, content: bytes) -> None:
    """Put content in the place of a file's; raises AgentError where it can't be, and leaves what was there.

    It is on the disk before it has the name, so that a full disk, or a machine that goes down, leaves no half of it.
    """
    if path.suffix != SUFFIX:
        raise AgentError(f"{plain(str(path))} is read by no node_exporter: let its name end in {SUFFIX}.")
    try:
        written = _written_beside(path, content)
        try:
            written.replace(path)
        except OSError:
            written.unlink()
            raise
    except OSError as error:
        raise AgentError(f"{plain(str(path))} can't be written: {error.strerror}") from error


def _written_beside(path: Path, content: bytes) -> Path:
    """Return a file in the same folder, by a name that nobody reads, which has the content and is on the disk."""
    new = path.with_name(f".{path.name}.{os.getpid()}")
    new.unlink(missing_ok=True)  # of a process of this number that was killed
    number = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, READABLE)
    try:
        with open(number, "wb") as file:
            file.write(content)
            file.flush()
            os.fchmod(number, READABLE)  # whatever the umask is
            os.fsync(number)
    except BaseException:
        new.unlink(missing_ok=True)
        raise
    return new
