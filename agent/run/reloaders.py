"""Clients who wait for a reload, each for a reading of the configuration that began after it had asked."""

from __future__ import annotations

from agent.control.protocol import refusal
from agent.control.server import Connection
from agent.decide.plan import Difference
from agent.errors import AgentError


class Reloaders:
    """Who waits for the reading that is going on, and who for the next one."""

    def __init__(self) -> None:
        """Nobody waits yet."""
        self._now: list[Connection] = []
        self._later: list[Connection] = []

    def add(self, connection: Connection) -> None:
        """Have a client wait for the next reading that begins; who has left meanwhile no longer does."""
        self._later = [*(each for each in self._later if each.is_open), connection]

    def begin(self) -> None:
        """A reading begins, or there will be none any more."""
        self._now += self._later
        self._later.clear()

    def answer(self, result: Difference | AgentError) -> None:
        """Tell those whose reading is over what came of it."""
        waiting, self._now = self._now, []
        for connection in waiting:
            connection.answer(refusal(result) if isinstance(result, AgentError) else result)
