"""Log lines of the agent: one line per fact, the event's name first, then its values.

On stderr:       celery-agent[magic]: worker-exited queue=unique_magic_task generation=3 status="killed by SIGKILL"
In the journal:  the same without the prefix, and each value as a field: CELERY_EVENT=worker-exited, CELERY_QUEUE=…

Whoever reads them can neither stop the agent nor end it: what finds no room is dropped, counted, and told of later.
"""

from __future__ import annotations

import json
import os
from contextlib import suppress

from agent.guest.journal import Journal, Priority, connected, identifier, place
from agent.guest.lines import Lines
from agent.guest.secrets import Redactor


class Log:
    """Where an instance's facts are written: the journal where stderr leads there, else stderr."""

    def __init__(self, instance: str, journal: Journal | None = None) -> None:
        """Begin a log; `journal` is found by the environment unless it is given."""
        self.instance = instance
        self._journal = journal or connected(os.environ, patience=0.0)
        self._lines = Lines(f"celery-agent[{instance}]")
        self._redact = Redactor(os.environ.items())

    def fact(self, event: str, **values: object) -> None:
        """Write one fact; values that are None are left out."""
        self._write(Priority.INFO, event, values)

    def trouble(self, event: str, **values: object) -> None:
        """Write one fact that should not be."""
        self._write(Priority.WARNING, event, values)

    @property
    def is_behind(self) -> bool:
        """Whether facts are kept for a `flush`, because the journal takes nothing now."""
        return self._journal is not None and self._journal.is_behind

    def flush(self) -> None:
        """Write the facts that were kept, as far as the journal takes them."""
        if self._journal is not None:
            with suppress(OSError):  # there is none just now
                self._journal.flush()

    def _write(self, priority: Priority, event: str, values: dict[str, object]) -> None:
        known = {name: self._redact(str(value)) for name, value in values.items() if value is not None}
        line = " ".join([event, *(f"{name}={_quoted(text)}" for name, text in known.items())])
        if self._journal is not None:
            try:
                self._journal.send(
                    {
                        "MESSAGE": line,
                        "PRIORITY": priority,
                        "SYSLOG_IDENTIFIER": identifier(self.instance),
                        "CELERY_INSTANCE": self.instance,
                        "CELERY_EVENT": event,
                        **{f"CELERY_{name.upper()}": text for name, text in known.items()},
                        **place(2),
                    }
                )
            except OSError:  # there is none just now: what leads to its place is still stderr
                pass
            else:
                return
        self._lines.write(f"celery-agent[{self.instance}]: {line}\n".encode(errors="backslashreplace"))


def _quoted(text: str) -> str:
    if text and text.isprintable() and not any(sign in text for sign in ' "='):
        return text
    return "".join(
        each if each.isprintable() else f"\\u{ord(each):04x}" for each in json.dumps(text, ensure_ascii=False)
    )
