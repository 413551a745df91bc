"""Waiting for conditions, never for time."""

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

# Seconds between two looks, a tenth of the wait so far: each look takes CPU of an agent or a broker, which other tests need.
SHORTEST, LONGEST = 0.02, 0.1


def wait_until(condition: Callable[[], T], timeout: float = 30.0, what: str = "") -> T:
    """Return the condition's first true value; fail where there is none within so many seconds."""
    began = time.monotonic()
    deadline = began + timeout
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() >= deadline:
            raise AssertionError(f"not within {timeout:g} s: {what or condition}; the last value was {value!r}")
        time.sleep(min(max(SHORTEST, (time.monotonic() - began) / 10), LONGEST))
