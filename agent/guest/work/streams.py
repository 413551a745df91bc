"""stdout and stderr where they are a file, a pipe or a terminal, and not the journal's."""

from __future__ import annotations

import io
import os
from typing import TYPE_CHECKING, TextIO

from celery.app import log
from celery.utils.log import LoggingProxy

from ..journal import PATIENCE
from ..lines import STDERR, Lines
from ..secrets import Redactor

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer as Buffer


class Patient(io.RawIOBase):
    """stdout or stderr where it is a file, a pipe or a terminal: waits for its reader a while, and never raises."""

    def __init__(self, lines: Lines) -> None:
        self._lines = lines

    def fileno(self) -> int:
        """Return the descriptor, for code that starts programs."""
        return self._lines.descriptor

    def isatty(self) -> bool:
        """Tell whether it is a terminal, for code that writes colours."""
        return os.isatty(self._lines.descriptor)

    def writable(self) -> bool:
        """Say yes."""
        return True

    def write(self, text: Buffer) -> int:
        """Take everything; what finds no room is dropped and counted."""
        line = bytes(text)
        self._lines.write(line)
        return len(line)


class Logged(LoggingProxy):
    """stdout and stderr where Celery leads them to a logger: with what code expects of a file beside `write`."""

    encoding = "utf-8"
    buffer: Patient

    def fileno(self) -> int:
        """Return where the logger writes too, for code that starts programs."""
        return STDERR

    def writable(self) -> bool:
        """Say yes."""
        return True


def lead_celery_to_stderr(name: str) -> None:
    """Have Celery put a `Logged` in the place of stdout and stderr; `name` stands before a count of what was dropped."""
    Logged.buffer = Patient(Lines(name, PATIENCE, STDERR))
    log.LoggingProxy = Logged


class _Text(io.TextIOWrapper):
    """Text of a standard stream, without secrets."""

    redact: Redactor

    def write(self, text: str, /) -> int:
        super().write(self.redact(text))
        return len(text)


def patient(original: TextIO, name: str, redact: Redactor) -> TextIO:
    """Return a stream for text without secrets in the place of an original; it waits for its reader for PATIENCE seconds."""
    stream = _Text(
        io.BufferedWriter(Patient(Lines(name, PATIENCE, original.fileno()))),
        encoding=original.encoding,
        errors=original.errors,
        line_buffering=getattr(original, "line_buffering", False),
    )
    stream.redact = redact
    return stream
