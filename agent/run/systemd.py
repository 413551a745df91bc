"""The agent's side of systemd: sd_notify(3), silent where no NOTIFY_SOCKET is there.

    told        when
    ----------  ----------------------------------------------------------------------------------------------
    READY       every queue is consumed, or the grace for a broker that is away is over; once, then at the end of a reload
    RELOADING   a reload begins, once READY was told
    STOPPING    the drain begins
    WATCHDOG    twice as often as the unit wants it, by the loop that does everything else
    EXTEND_...  each second while the configuration is read at the start, and while draining
    STATUS      whenever the line is another one; after a failed start it stays, for `systemctl status`

Nothing is waited for: what systemd can't take now, because it is frozen or busy, is sent before the next thing that is told.
Only the newest of a kind is kept.

Source: sd_notify(3), systemd.service(5), sd_watchdog_enabled(3).
"""

from __future__ import annotations

import os
import time
from collections.abc import Mapping

from sdnotify import SystemdNotifier

LONGEST = 4_096  # bytes; systemd ignores a longer message (NOTIFY_BUFFER_MAX in its manager.c)


class Notifier:
    """Tells systemd how the service is."""

    def __init__(self) -> None:
        self._notifier = _connected() if os.environ.get("NOTIFY_SOCKET") else None
        self._untold: dict[str, str] = {}
        self._status = ""
        self._is_ready = False
        self._is_reloading = False

    def ready(self) -> None:
        """The start is over."""
        self._is_ready = True
        self._send("READY=1")

    def reloading(self) -> None:
        """A reload begins. During the start nothing is said: READY would end it, and RELOADING must come after READY."""
        if self._is_ready and not self._is_reloading:
            self._is_reloading = True
            # The time is for Type=notify-reload, which takes a message from before its signal for a stale one.
            self._send(f"RELOADING=1\nMONOTONIC_USEC={time.monotonic_ns() // 1000}")

    def reloaded(self) -> None:
        """The reload is over, whether it changed anything or was refused."""
        if self._is_reloading:
            self._is_reloading = False
            self._send("READY=1")

    def stopping(self) -> None:
        """The stop has begun."""
        self._is_reloading = False
        self._send("STOPPING=1")

    def status(self, line: str) -> None:
        """Set the line that `systemctl status` shows, where it is a new one."""
        if line != self._status:
            self._status = line
            self._send(f"STATUS={' '.join(line.splitlines())}")  # a second line would be an assignment
        else:
            self._tell()

    def alive(self) -> None:
        """Feed the watchdog."""
        self._send("WATCHDOG=1")

    def extend_timeout(self, seconds: float) -> None:
        """Ask for so many more seconds, counted from now, for the start or stop in progress."""
        self._send(f"EXTEND_TIMEOUT_USEC={int(seconds * 1_000_000)}")

    def _send(self, text: str) -> None:
        kind = text.partition("=")[0]
        self._untold.pop(kind, None)  # the newest one comes last
        self._untold[kind] = text
        self._tell()

    def _tell(self) -> None:
        if self._notifier is None:
            self._untold.clear()
            return
        try:
            for kind, text in list(self._untold.items()):
                # sdnotify encodes as Latin-1, and systemd wants UTF-8.
                self._notifier.notify(text.encode(errors="backslashreplace")[:LONGEST].decode("latin-1"))
                del self._untold[kind]
        except BlockingIOError:  # its queue is full
            pass
        except OSError:  # systemd is away, or listens at another socket of the name since it began anew
            self._notifier = _connected() or self._notifier


def _connected() -> SystemdNotifier | None:
    """Return the way to systemd, which neither waits nor hides errors; None where nobody listens."""
    try:
        notifier = SystemdNotifier(debug=True)
    except OSError:
        return None
    notifier.socket.setblocking(False)
    return notifier


def watchdog_interval(environment: Mapping[str, str], pid: int) -> float | None:
    """Return the seconds between two signs of life, half of what systemd allows, or None where it wants none."""
    microseconds = environment.get("WATCHDOG_USEC", "")
    if not (microseconds.isascii() and microseconds.isdigit()) or environment.get("WATCHDOG_PID", str(pid)) != str(pid):
        return None
    return int(microseconds) / 2_000_000
