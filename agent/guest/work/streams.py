"""stdout and stderr where they are a file, a pipe or a terminal, and not the journal's."""

from __future__ import annotations

import io
import logging
import os
from typing import TYPE_CHECKING, TextIO

from celery.app import log
from celery.utils.log import LoggingProxy
from kombu.utils.encoding import safe_str

from ..journal import PATIENCE
from ..lines import STDERR, Lines
from ..secrets import Redactor
from .gathering import Gathering

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
    """stdout and stderr where Celery leads them to a logger: with what code expects of a file beside `write`.

    Celery logs each write by itself, so that `print("a", 1)` is three messages, of which one is a space.
    """

    encoding = "utf-8"
    buffer: Patient

    def __init__(self, logger: logging.Logger, loglevel: int | str | None = None) -> None:
        super().__init__(logger, loglevel)
        self._gathering = Gathering()

    def write(self, data: str) -> int:
        """Take text; log the message that it completes."""
        if getattr(self._thread, "recurse_protection", False):  # what the logger writes here itself is nobody's
            return 0
        if self._gathering.is_whole_with(safe_str(data)):
            self.flush()
        return len(data)

    def flush(self) -> None:
        """Log what has been written so far, with or without a newline at its end."""
        message, _ = self._gathering.take()
        if message:
            super().write(message)

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
        line_buffering=True,  # what waits for somebody, as the remote debugger does, has said so
    )
    stream.redact = redact
    return stream
