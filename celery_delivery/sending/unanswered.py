"""Results that were written, and that the broker has not answered for yet: with a lost connection they may have gone.

Nobody waits for these answers, as that would cost each task a round trip. The next message of the same connection notices that
it was lost. Where none comes, one thread of the process does, and has them written again.
"""

import math
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Any

from celery.utils.log import get_logger

from celery_delivery import ends, forks
from celery_delivery.sending.confirms import Confirms
from celery_delivery.sending.outgoing import Outgoing

LOOK = 1.0  # seconds after a result was written, and between two looks at what is not answered for
LAST_LOOK = 2.0  # seconds that the end of a process waits for answers at most; they take milliseconds
LAST_PAUSE = 0.01  # seconds between two looks then

_log = get_logger(__name__)


class Unanswered:
    """The results that went over one connection, in the order in which they were written.

    turn: is held by whoever uses the connection.
    """

    def __init__(self) -> None:
        self.turn = threading.RLock()
        self._messages: deque[Outgoing] = deque()

    @classmethod
    def of(cls, connection: Any) -> "Unanswered":
        """Return a connection's, from the first time that they are asked for."""
        found: Unanswered | None = getattr(connection, "unanswered", None)
        if found is None:
            found = connection.unanswered = cls()
        return found

    def __bool__(self) -> bool:
        """Say whether there are any, known of so far."""
        return bool(self._messages)

    def add(self, message: Outgoing) -> None:
        """Note what was written just now."""
        message.written = time.monotonic()
        self._messages.append(message)

    def settle(self, confirms: Confirms | None) -> None:
        """Leave out what the broker has answered for."""
        while confirms and self._messages and confirms.is_answered(self._messages[0].tag):
            self._messages.popleft()

    def lose(self) -> None:
        """Note that the connection is gone."""
        for message in self._messages:
            message.tag = 0

    def write_again(self, write: Callable[[Outgoing], None]) -> None:
        """Write what was lost."""
        for message in self._messages:
            if not message.tag:
                write(message)
                message.written = time.monotonic()

    def drop(self, confirms: Confirms | None) -> None:
        """Leave out all where there was a channel: the broker may have closed it for one of them, and would again."""
        if confirms:
            self._messages.clear()

    def look(self, confirms: Confirms, patience: float) -> None:
        """Read what the broker has answered; raises TimeoutError where it is silent for so many seconds, and not blocked."""
        confirms.read()
        self.settle(confirms)
        if self and not confirms.is_blocked and time.monotonic() - self._messages[0].written > patience:
            raise TimeoutError("no answer")


class Look:
    """Looks after the connections by which this process has written results, in a thread that begins with the first of them."""

    def __init__(self) -> None:
        self._begin()

    def _begin(self) -> None:
        self._places: set[tuple[Any, Any]] = set()
        self._wake = threading.Event()
        self._starting = threading.Lock()
        self._is_started = False
        self._ending = threading.Event()
        self._until = math.inf  # when the end of the process waits no longer, by the monotonic clock

    def after(self, connection: Any, kind: Any) -> None:
        """Have the thread look soon at the results of a connection, by this kind of producer, which has the turn."""
        self._places.add((connection, kind))
        if not self._wake.is_set():
            self._wake.set()
            self._start()

    def _start(self) -> None:
        with self._starting:
            if self._is_started:
                return
            self._is_started = True
        forks.let_go_in_children(self._begin)  # the thread does not run there, and the results are the parent's
        ends.at_end(self._last)
        threading.Thread(target=self._run, name="celery-unanswered", daemon=True).start()

    def _run(self) -> None:
        while self._wake.wait():
            if self._ending.wait(LOOK):
                time.sleep(LAST_PAUSE)
            self._wake.clear()
            for place in tuple(self._places):
                self._look(*place)

    def _last(self) -> None:
        """Wait for the thread, which looks at once and often meanwhile."""
        self._until = min(self._until, time.monotonic() + LAST_LOOK)
        self._ending.set()
        while self._places and time.monotonic() < self._until:
            time.sleep(LAST_PAUSE)
        self._ending.clear()

    def _look(self, connection: Any, kind: Any) -> None:
        is_over = True
        # Nobody writes another result between the answer to the last one and the note that all are settled.
        with Unanswered.of(connection).turn:
            try:
                is_over = kind(connection).settle()
            except Exception:
                _log.exception("Results may be lost: what the broker says of them can't be understood")
            if is_over:
                self._places.discard((connection, kind))
        if not is_over:
            self._wake.set()


look = Look()
