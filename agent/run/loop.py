"""The loop of the daemon: one thread that waits for descriptors and timers, and calls whom they concern.

A fault of the agent's own in one call is logged, and ends neither the loop nor any other call: with the daemon would end
every worker of the node.
"""

from __future__ import annotations

import selectors
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from agent.run.logs import Log
from agent.run.timers import Timers

MOST_FAULTS = 3  # in a row, after which the loop rests after each further one: it would meet the next at once, for ever
REST = 0.2  # seconds
LOG_PAUSE = 0.05  # seconds until a journal that took nothing is tried again
LONGEST_WAIT = 86_400.0  # seconds; the kernel counts milliseconds in 32 bits


class Loop:
    """A selector, timers, and what keeps a fault to where it was made."""

    def __init__(self, log: Log) -> None:
        """Wait for nothing yet."""
        self.selector = selectors.DefaultSelector()
        self.timers = Timers()
        self._log = log
        self._faults: Counter[int] = Counter()

    def wait(self, deadline: float | None) -> float:
        """Wait until something is ready, a timer is due or a deadline is there, and call whom it concerns.

        deadline: of the caller's own, by the monotonic clock. Returns the seconds by which this was late: more than a moment
        means that the process was stopped, or the machine slept.
        """
        due = min((when for when in (self.timers.next(), deadline) if when is not None), default=None)
        ready = self.selector.select(None if due is None else min(max(0.0, due - time.monotonic()), LONGEST_WAIT))
        late = 0.0 if due is None else time.monotonic() - due
        for key, _ in ready:
            registered = self.selector.get_map().get(key.fd)
            if registered is not None and registered.data is key.data:  # one before it may have closed it
                self._call(key.fd, key.data)
        for do in self.timers.due():
            with self.contained("timer"):
                do()
        if self._log.is_behind:
            self.timers.after(LOG_PAUSE, "log", self._log.flush)
        return late

    @contextmanager
    def contained(self, what: str, **values: object) -> Iterator[None]:
        """Log what goes wrong within, and go on after it; `values` are for the log."""
        try:
            yield
        except Exception as error:  # noqa: BLE001 - whatever it is, the node's workers must not end with it
            self.report(error, what, **values)

    def report(self, error: Exception, what: str, **values: object) -> None:
        """Log a fault of the agent's own, with the place where it was made."""
        place = traceback.extract_tb(error.__traceback__)[-1]
        where = f"{place.filename}:{place.lineno}"
        self._log.trouble("agent-fault", what=what, error=repr(error), where=where, **values)

    def _call(self, descriptor: int, do: Callable[[], None]) -> None:
        try:
            do()
        except Exception as error:  # noqa: BLE001 - see contained
            self._faults[descriptor] += 1
            count = self._faults[descriptor]
            if count.bit_count() == 1:  # the 1st, 2nd, 4th, 8th…
                self.report(error, "descriptor", count=count)
            if count >= MOST_FAULTS:
                # The descriptor is looked at all the same: what is wrong may pass, as a want of memory does.
                time.sleep(REST)
        else:
            self._faults.pop(descriptor, None)
