"""What messages show of the clocks of those who send them; an agent asks for it."""

import time

LASTING = 600.0  # seconds for which it is told after the newest message that shows it


class Clocks:
    """What the newest message of a sender whose clock is ahead has shown, for whoever wants to tell of it."""

    def __init__(self) -> None:
        self._text = ""
        self._until = 0.0  # by the monotonic clock

    def differ(self, text: str) -> None:
        """Note what differs."""
        self._text, self._until = text, time.monotonic() + LASTING

    def read(self) -> str:
        """Return what differs, and what to do; empty where no message has shown it for LASTING seconds."""
        return self._text if self._text and time.monotonic() < self._until else ""


clocks = Clocks()
