"""Log lines of the agent: one line per fact, the event's name first, then its values.

celery-agent[magic]: worker-exited queue=unique_magic_task generation=3 status="killed by SIGKILL"
"""

from __future__ import annotations

import json
import sys


class Log:
    """Where an instance's facts are written: stderr, which under systemd is the journal."""

    def __init__(self, instance: str) -> None:
        self._prefix = f"celery-agent[{instance}]: "

    def fact(self, event: str, **values: object) -> None:
        """Write one fact; values that are None are left out."""
        words = [event, *(f"{name}={_quoted(value)}" for name, value in values.items() if value is not None)]
        print(self._prefix + " ".join(words), file=sys.stderr, flush=True)


def _quoted(value: object) -> str:
    text = str(value)
    return text if text and not any(sign in text for sign in ' "=\n') else json.dumps(text, ensure_ascii=False)
