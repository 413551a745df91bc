"""Named deadlines of the loop, beside those of the workers."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator


class Timers:
    """Functions to be called once, each when its time has come; setting a name again replaces it."""

    def __init__(self) -> None:
        self._timers: dict[str, tuple[float, Callable[[], None]]] = {}

    def __contains__(self, name: object) -> bool:
        return name in self._timers

    def after(self, seconds: float, name: str, do: Callable[[], None]) -> None:
        """Call a function in so many seconds."""
        self._timers[name] = (time.monotonic() + seconds, do)

    def cancel(self, name: str) -> None:
        """Forget a timer, where there is one of the name."""
        self._timers.pop(name, None)

    def next(self) -> float | None:
        """Return when the next one is due, in seconds of the monotonic clock."""
        return min((when for when, _ in self._timers.values()), default=None)

    def due(self) -> Iterator[Callable[[], None]]:
        """Take out what is due and yield it, one after the other: the call of one may set or cancel another."""
        now = time.monotonic()
        for name, timer in list(self._timers.items()):
            if timer[0] <= now and self._timers.get(name) is timer:
                del self._timers[name]
                yield timer[1]
