"""Waiting for instances: until every queue is consuming, the time is over, or one has ended and nobody starts it again."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path

from agent.config.instances import Folders
from agent.control import address, client
from agent.decide.status import Status
from agent.errors import AgentError, NotRunning
from agent.operate.unit import Unit, unit_of

POLL = 0.1  # seconds between two looks
ASK = 1.0  # seconds between two questions to systemd, each of which takes a process
STARTS = 5.0  # seconds in which an agent that is being started takes the last word of the one before away
_COMES_AGAIN = frozenset({"active", "activating", "reloading", "deactivating"})


def wait_until_consuming(places: Folders, instances: Sequence[str], seconds: float) -> None:
    """Return when every queue of the instances is consuming; raises AgentError where it takes longer, or one has ended."""
    deadline = time.monotonic() + seconds
    waits = {instance: _Wait(places, instance) for instance in instances}
    while waiting := [each for each in waits.values() if not each.is_over()]:
        if time.monotonic() >= deadline:
            raise waiting[0].still(seconds)
        time.sleep(POLL)


class _Wait:
    """The wait for one instance."""

    def __init__(self, places: Folders, instance: str) -> None:
        self._places = places
        self._instance = instance
        self._began = time.monotonic()
        self._was_seen = False
        self._asked = 0.0
        self._status: Status | None = None

    def is_over(self) -> bool:
        """Say whether every queue is consuming; raises NotRunning where the agent has ended for good."""
        try:
            self._status = client.status(self._places.runtime_folder(self._instance))
        except NotRunning:
            self._status = None
            self._look_for_end()
            return False
        self._was_seen = True
        return self._status.is_consuming()

    def still(self, seconds: float) -> AgentError:
        """Return the error that says what was there last."""
        if self._status is None:
            return NotRunning(f"{self._instance} is not running after {seconds:g} s")
        return AgentError(f"{self._instance} is not ready after {seconds:g} s: {self._status.summary}")

    def _look_for_end(self) -> None:
        if time.monotonic() < self._asked + ASK:
            return
        self._asked = time.monotonic()
        unit = unit_of(self._places, self._instance)
        if unit is not None and unit.state == "failed":
            raise NotRunning(_of_unit(self._instance, unit))
        word = _last_word(self._places.runtime_folder(self._instance)) if unit is None else ""
        if word and time.monotonic() > self._began + STARTS:
            raise NotRunning(f"{self._instance} has ended {word}")
        if self._was_seen and (unit is None or unit.state not in _COMES_AGAIN):
            raise NotRunning(f"{self._instance} has ended: see its log, and `agent check {self._instance}`")


def _last_word(folder: Path) -> str:
    """Return how an agent ended that is not there any more; empty where none has said so."""
    try:
        return address.last_word_in(folder).read_text(errors="replace")
    except OSError:
        return ""


def _of_unit(instance: str, unit: Unit) -> str:
    why = f": {unit.text}" if unit.text else ""
    return f"{instance} has ended with status {unit.status}, and systemd does not start it again{why}"
