"""The place of an instance on its node: the lock, and the socket where it is asked, in its runtime folder.

Who removes the folder, or something in it, takes the place away: the instance can't be asked any more, and another agent could
run it a second time. So the place is watched, and taken again. Where another agent has been quicker, this one goes on and
says so: what runs here must not end with a folder.
"""

from __future__ import annotations

import grp
import os
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from selectors import EVENT_READ

from agent.control import address, operators
from agent.control.protocol import Request
from agent.control.server import Connection, Server
from agent.errors import AgentError
from agent.run.lock import hold_lock, is_in_place
from agent.run.logs import Log
from agent.run.loop import Loop
from agent.run.watch import Watch

PAUSE = 1.0  # seconds between two looks at the place, where somebody changes it again and again
RETRY = 10.0  # seconds until a place that could not be taken is tried again


class Place:
    """The instance's lock and socket, for as long as it runs."""

    def __init__(
        self,
        folder: Path,
        loop: Loop,
        log: Log,
        on_request: Callable[[Request, Connection], None],
        group: str = "",
    ) -> None:
        """Take the place; raises ConfigurationError, or AgentError where another agent has it.

        on_request: as of the control socket's server. group: operators who may ask beside the agent's own group; "" for none.
        """
        self._folder = folder
        self._loop = loop
        self._log = log
        self._on_request = on_request
        self._failures = 0
        self._lock = hold_lock(folder)
        with suppress(OSError):
            address.last_word_in(folder).unlink()
        self._operators = self._number(group)
        self._server = self._serve()
        self._watch = self._watched()
        self._looked = 0.0

    def close(self, error: AgentError | None = None) -> None:
        """Leave the place, and in it why, for who waits for the agent: nothing else tells where no systemd does."""
        if error is not None:
            with suppress(OSError):
                address.last_word_in(self._folder).write_text(f"with status {error.exit_status}: {error}")
        self._loop.timers.cancel("place")
        self._unwatch()
        self._server.close()
        os.close(self._lock)

    def _serve(self) -> Server:
        loop = self._loop
        server = Server(
            self._folder, loop.selector, loop.timers, self._on_request, lambda error: loop.report(error, "request")
        )
        if self._operators is not None:
            try:
                for path in (self._folder, address.socket_in(self._folder)):
                    operators.let_in(path, self._operators)
            except OSError as error:
                self._log.trouble("operators-not-let-in", group=self._operators, reason=error)
        return server

    def _number(self, group: str) -> int | None:
        """Return the number of the operators' group; None where there is none."""
        try:
            return grp.getgrnam(group).gr_gid if group else None
        except KeyError:
            self._log.trouble("operators-not-let-in", group=group, reason="this node has no such group")
            return None

    def _watched(self) -> Watch | None:
        try:
            watch = Watch(self._folder)
        except OSError as error:
            self._log.trouble("place-not-watched", folder=self._folder, reason=error)
            return None
        self._loop.selector.register(watch, EVENT_READ, self._changed)
        return watch

    def _unwatch(self) -> None:
        if self._watch is not None:
            self._loop.selector.unregister(self._watch)
            self._watch.close()
            self._watch = None

    def _changed(self) -> None:
        if self._watch is not None:
            self._watch.read()
        if "place" not in self._loop.timers:
            self._loop.timers.after(max(0.0, self._looked + PAUSE - time.monotonic()), "place", self._look)

    def _look(self) -> None:
        self._looked = time.monotonic()
        if is_in_place(self._lock, self._folder) and self._server.is_in_place():
            return
        try:
            self._take()
        except AgentError as error:
            self._failures += 1
            if self._failures.bit_count() == 1:  # the 1st, 2nd, 4th, 8th…
                self._log.trouble("place-lost", folder=self._folder, reason=error, count=self._failures)
            self._loop.timers.after(RETRY, "place", self._look)
        else:
            self._failures = 0
            self._log.trouble("place-taken-again", folder=self._folder)

    def _take(self) -> None:
        if not is_in_place(self._lock, self._folder):
            lock = hold_lock(self._folder)
            os.close(self._lock)
            self._lock = lock
        self._unwatch()
        self._watch = self._watched()
        server = self._serve()
        self._server.close()
        self._server = server
