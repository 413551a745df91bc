"""What a worker, its tasks and the template write: where stderr leads to the journal, records with fields.

There is one record for each message of a logger or of `print`, however many newlines it has. Where stderr is a file, a pipe
or a terminal, lines stay as Celery makes them, without secrets. In both cases a reader that is gone or takes nothing fails
no task, and holds none up for longer than PATIENCE.
"""

from __future__ import annotations

import io
import logging
import os
import re
import sys
from collections.abc import Callable, Iterator, Mapping
from typing import Any, TextIO

from celery import signals
from celery._state import get_current_task
from celery.apps import worker as celery_worker
from celery.utils.log import get_multiprocessing_logger

from ..journal import PATIENCE, Journal, Priority, connected, identifier, place
from ..lines import STDOUT, Lines
from ..secrets import Redactor
from ..values import dataclass
from .gathering import Gathering
from .streams import lead_celery_to_stderr, patient
from .uncaught import report_at_once

_BARE = logging.Formatter("%(message)s")
# What a terminal acts upon, or takes for another line; without a newline, a tab and the colours that Celery writes.
_ACTING = re.compile(r"(?!\x1b\[(?:0|1;3\d)m)[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069]")


class Output:
    """The journal, what is written to where there is none any more, the fields of this process, and its secrets."""

    def __init__(self, journal: Journal, lines: Lines, fields: Mapping[str, object], redact: Redactor) -> None:
        self._journal = journal
        self._lines = lines
        self._fields = fields
        self._redact = redact

    def record(self, message: str, fields: Mapping[str, object]) -> None:
        """Send a message with fields beside those of the process and of the task that is running."""
        whole = {"MESSAGE": self._redact(message), **self._fields, **_task_fields(), **fields}
        try:
            self._journal.send(whole)
        except OSError:  # there is no journal any more: what leads to its place is still stderr
            self._lines.write(f"{whole['MESSAGE']}\n".encode(errors="backslashreplace"))


class Handler(logging.Handler):
    """Sends log records to the journal."""

    def __init__(self, output: Output) -> None:
        super().__init__()
        self._output = output
        self.setFormatter(_BARE)

    def emit(self, record: logging.LogRecord) -> None:
        """Send one record, its traceback included."""
        try:
            self._output.record(self.format(record), _fields_of(record))
        except Exception:
            self.handleError(record)


class Stream(io.TextIOBase):
    """stdout or stderr: what is written is gathered to messages, and each is a record."""

    def __init__(self, original: TextIO, output: Output, priority: Priority) -> None:
        self._original = original
        self._output = output
        self._priority = priority
        self._gathering = Gathering()

    @property
    def encoding(self) -> str:  # type: ignore[override]
        """Any text can be written."""
        return "utf-8"

    @property
    def buffer(self) -> Any:
        """The original's, for code that writes bytes."""
        return self._original.buffer

    def fileno(self) -> int:
        """Return the original's descriptor, for code that starts programs."""
        return self._original.fileno()

    def writable(self) -> bool:
        """Say yes."""
        return True

    def write(self, text: str) -> int:
        """Take text; send the message that it completes."""
        if not isinstance(text, str):
            raise TypeError(f"write() takes str, not {type(text).__name__}")
        if self._gathering.is_whole_with(text, place(1)):
            self.flush()
        return len(text)

    def flush(self) -> None:
        """Send what has been written so far, with or without a newline at its end."""
        message, where = self._gathering.take()
        if message:
            self._output.record(message, {"PRIORITY": self._priority, **where})


@dataclass(frozen=True, slots=True)
class Voice:
    """How a process writes: as which instance, and to the journal where stderr leads there."""

    instance: str
    journal: Journal | None

    def descriptors(self) -> tuple[int, ...]:
        """Return what a forked process has to keep open for it."""
        return () if self.journal is None else (self.journal.fileno(),)


def speak(instance: str, environment: Mapping[str, str]) -> Voice:
    """Make records of what this process writes to stdout and stderr, where stderr leads to the journal."""
    report_at_once()
    journal = connected(environment)
    name = f"celery-agent[{instance}]"
    redact = Redactor(environment.items())
    _hiding.append(redact)
    if journal is None:
        _unleash(name, redact)
    else:
        fields = {"SYSLOG_IDENTIFIER": identifier(instance), "CELERY_INSTANCE": instance}
        _redirect(Output(journal, Lines(name, PATIENCE), fields, redact))
    return Voice(instance, journal)


def speak_as_worker(voice: Voice, queue: str, generation: int, redact: Redactor) -> None:
    """Mark what this process and its pool write as the queue's, and mask secrets in it.

    Where user code sets up logging itself, by Celery's signal `setup_logging`, its loggers are left alone.
    """
    _hiding.append(redact)
    name = f"celery-agent[{voice.instance}/{queue}]"
    if voice.journal is None:
        _unleash(name, redact)
        lead_celery_to_stderr(name)
        stdout = Lines(name, PATIENCE, STDOUT)  # without the buffer of sys.stdout, in which the signal may have come
        _say_for_celery(lambda text: stdout.write(f"{text}\n".encode(errors="backslashreplace")))
        _adapting.append(_Redacting(redact))
    else:
        fields = {
            "SYSLOG_IDENTIFIER": identifier(voice.instance, queue),
            "CELERY_INSTANCE": voice.instance,
            "CELERY_QUEUE": queue,
            "CELERY_GENERATION": generation,
        }
        _redirect(output := Output(voice.journal, Lines(name, PATIENCE), fields, redact))
        _say_for_celery(lambda text: output.record(text, {"PRIORITY": Priority.INFO}))
        _adapting.append(_Journaling(output))


def without_secrets(text: str) -> str:
    """Return a text as this process may write it."""
    return _hiding[-1](text)


def _say_for_celery(say: Callable[[str], None]) -> None:
    """Take over what Celery says in its handlers of signals: it writes to the descriptor itself, and may wait for ever."""
    celery_worker.safe_say = lambda text, _stream=None: say(text)


class _Journaling:
    """Replaces the handlers that Celery has made for stderr; those that user code has added stay."""

    def __init__(self, output: Output) -> None:
        self._output = output

    def __call__(self, logger: logging.Logger, **_: object) -> None:
        for each, handler in _made_for_stderr(logger):
            each.removeHandler(handler)
            each.addHandler(Handler(self._output))


class _Redacting:
    """Has the handlers that Celery has made for stderr mask secrets, and wait for no reader."""

    def __init__(self, redact: Redactor) -> None:
        self._redact = redact
        # Ours: at the time when handlers are made, sys.stderr may be one of Celery's that leads to a logger.
        self._stream = sys.stderr

    def __call__(self, logger: logging.Logger, **_: object) -> None:
        for _each, to_stderr in _made_for_stderr(logger):
            to_stderr.setStream(self._stream)
        for handler in logger.handlers:
            handler.setFormatter(_RedactingFormatter(handler.formatter or _BARE, self._redact))


class _RedactingFormatter(logging.Formatter):
    def __init__(self, inner: logging.Formatter, redact: Redactor) -> None:
        super().__init__()
        self._inner = inner
        self._redact = redact

    def format(self, record: logging.LogRecord) -> str:
        return _plain(self._redact(self._inner.format(record)))


def _plain(message: str) -> str:
    """Return a message that acts on no terminal and looks like no two: what follows a newline is indented."""
    if message.isprintable():
        return message
    return _ACTING.sub(lambda found: found[0].encode("unicode_escape").decode(), message).replace("\n", "\n  ")


def _made_for_stderr(logger: logging.Logger) -> Iterator[tuple[logging.Logger, logging.StreamHandler[Any]]]:
    """Yield the handlers of a logger, and of that of Celery's pool, that write to stderr, each with its logger."""
    for each in (logger, get_multiprocessing_logger()):
        for handler in each.handlers[:]:
            if isinstance(handler, logging.StreamHandler) and handler.stream is sys.__stderr__:
                yield each, handler


def _unleash(name: str, redact: Redactor) -> None:
    """Write to stdout and stderr without secrets, and without waiting for their readers for long."""
    sys.stdout = patient(sys.__stdout__ or _null(), name, redact)
    sys.stderr = patient(sys.__stderr__ or _null(), name, redact)


def _redirect(output: Output) -> None:
    sys.stdout = Stream(sys.__stdout__ or _null(), output, Priority.INFO)
    sys.stderr = Stream(sys.__stderr__ or _null(), output, Priority.WARNING)


def _null() -> TextIO:
    return open(os.devnull, "w")


_hiding: list[Redactor] = []  # the template's, then the worker's, which knows more
_adapting: list[_Journaling | _Redacting] = []  # one in a worker, none in the template


def _adapt(logger: logging.Logger, **_: object) -> None:
    for adapt in _adapting:
        adapt(logger)


def _flush(**_: object) -> None:
    sys.stdout.flush()
    sys.stderr.flush()


# Not in each worker, since `connect` asks `inspect`, which has pages that a worker shares until then.
signals.after_setup_logger.connect(_adapt)
signals.after_setup_task_logger.connect(_adapt)
signals.task_postrun.connect(_flush)  # a message without a newline ends with its task


def _task_fields() -> dict[str, object]:
    task = get_current_task()
    if task is None or task.request.id is None:
        return {}
    return {"CELERY_TASK_ID": task.request.id, "CELERY_TASK_NAME": task.name}


def _fields_of(record: logging.LogRecord) -> dict[str, object]:
    fields: dict[str, object] = {
        "PRIORITY": _priority(record.levelno),
        "LOGGER": record.name,
        "CODE_FILE": record.pathname,
        "CODE_LINE": record.lineno,
        "CODE_FUNC": record.funcName,
    }
    data = getattr(record, "data", None)  # Celery adds it where it writes about a task from outside of that
    if isinstance(data, Mapping) and "id" in data and "name" in data:
        fields |= {"CELERY_TASK_ID": data["id"], "CELERY_TASK_NAME": data["name"]}
    return fields


def _priority(level: int) -> Priority:
    for least, priority in (
        (logging.CRITICAL, Priority.CRITICAL),
        (logging.ERROR, Priority.ERROR),
        (logging.WARNING, Priority.WARNING),
        (logging.INFO, Priority.INFO),
    ):
        if level >= least:
            return priority
    return Priority.DEBUG
