"""What systemd is told again and again: that the loop is alive, and that a start or a stop still goes on."""

from __future__ import annotations

from agent.run.systemd import Notifier
from agent.run.timers import Timers

EXTENSION = 1.0  # seconds between two requests for more time to start or to stop


class Signs:
    """The signs that are being given, each by the loop's own timers, so that one that is given means that the loop turns."""

    def __init__(self, notifier: Notifier, timers: Timers) -> None:
        """Give none yet."""
        self._notifier = notifier
        self._timers = timers

    def of_life(self, interval: float | None) -> None:
        """Feed the watchdog each so many seconds from now on; None: there is no watchdog."""
        if interval is not None:
            self._timers.after(interval, "watchdog", lambda: self.of_life(interval))
            self._notifier.alive()

    def of_patience(self) -> None:
        """Ask for more time from now on, until `no_patience`.

        Reading the configuration and draining take as long as their own deadlines say; systemd's need not be longer.
        """
        self._timers.after(EXTENSION, "extend timeout", self.of_patience)
        self._notifier.extend_timeout(10 * EXTENSION)

    def no_patience(self) -> None:
        """Ask for no more time."""
        self._timers.cancel("extend timeout")
