"""A loop as the daemon's is, without the daemon: selector, timers, and whatever else is to be done in each turn."""

from __future__ import annotations

import time
from collections.abc import Callable
from selectors import BaseSelector
from typing import Any, TypeVar

from agent.run.logs import Log
from agent.run.timers import Timers

T = TypeVar("T")
TURN = 0.02  # seconds that a turn waits for descriptors, so that conditions outside of the loop are seen soon


class Loop:
    """Calls what the selector and the timers have to say, until a condition holds."""

    def __init__(self, selector: BaseSelector, timers: Timers) -> None:
        self.in_each_turn: list[Callable[[], None]] = []
        self._selector = selector
        self._timers = timers

    def turn(self) -> None:
        """Deal with what is there now."""
        for key, _ in self._selector.select(TURN):
            registered = self._selector.get_map().get(key.fd)
            if registered is not None and registered.data is key.data:  # one before it may have closed it
                key.data()
        for do in self._timers.due():
            do()
        for do in self.in_each_turn:
            do()

    def is_watching(self, callback: Callable[[], object]) -> bool:
        """Say whether a descriptor is waited for that would call this."""
        return any(key.data == callback for key in self._selector.get_map().values())

    def until(self, condition: Callable[[], T], timeout: float = 20.0, what: str = "") -> T:
        """Turn until the condition has a true value, and return that; fail where there is none within so many seconds."""
        deadline = time.monotonic() + timeout
        while not (value := condition()):
            if time.monotonic() >= deadline:
                raise AssertionError(f"not within {timeout:g} s: {what or condition}; the last value was {value!r}")
            self.turn()
        return value


class Facts(Log):
    """A log that keeps its facts instead of writing them."""

    def __init__(self) -> None:
        super().__init__("magic")
        self.facts: list[tuple[str, dict[str, Any]]] = []

    def fact(self, event: str, **values: object) -> None:
        """Keep one fact."""
        self.facts.append((event, values))

    def trouble(self, event: str, **values: object) -> None:
        """Keep one fact that should not be."""
        self.facts.append((event, values))

    def of(self, event: str) -> list[dict[str, Any]]:
        """Return the values of each fact of one name."""
        return [values for name, values in self.facts if name == event]
