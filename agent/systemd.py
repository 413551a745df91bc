"""The agent's side of sd_notify(3); silent where no NOTIFY_SOCKET is there.

Source: sd_notify(3), systemd.service(5), sd_watchdog_enabled(3).
"""

from __future__ import annotations

import os
from collections.abc import Mapping

from sdnotify import SystemdNotifier

# Children must not speak for the service, nor feed its watchdog, nor take its sockets or credentials' names for theirs.
PRIVATE_PREFIXES = ("NOTIFY_", "WATCHDOG_", "LISTEN_")


class Notifier:
    """Tells systemd how the service is."""

    def __init__(self) -> None:
        self._notifier = SystemdNotifier() if os.environ.get("NOTIFY_SOCKET") else None
        self._status = ""

    def ready(self) -> None:
        """The start is over."""
        self._send("READY=1")

    def stopping(self) -> None:
        """The stop has begun."""
        self._send("STOPPING=1")

    def status(self, line: str) -> None:
        """Set the line that `systemctl status` shows, where it is a new one."""
        if line != self._status:
            self._status = line
            self._send(f"STATUS={line}")

    def alive(self) -> None:
        """Feed the watchdog."""
        self._send("WATCHDOG=1")

    def extend_timeout(self, seconds: float) -> None:
        """Ask for so many more seconds, counted from now, for the start or stop in progress."""
        self._send(f"EXTEND_TIMEOUT_USEC={int(seconds * 1_000_000)}")

    def _send(self, text: str) -> None:
        if self._notifier is not None:
            self._notifier.notify(text)


def watchdog_interval(environment: Mapping[str, str], pid: int) -> float | None:
    """Return the seconds between two signs of life, half of what systemd allows, or None where it wants none."""
    microseconds = environment.get("WATCHDOG_USEC", "")
    if not microseconds.isdigit() or environment.get("WATCHDOG_PID", str(pid)) != str(pid):
        return None
    return int(microseconds) / 2_000_000
