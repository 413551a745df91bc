"""The task that the chaos suite runs: user code, imported by the workers and by the producer."""

import os
import time
from functools import cache
from pathlib import Path

import celery

from tests.chaos.ledger import Fact, Ledger

VARIABLE = "CHAOS_LEDGER"  # names the ledger's file


class Recorded(celery.Task):
    """Writes into the ledger that it starts, takes its time, and writes that it ends."""

    name = "recorded"

    def run(self, seconds: float) -> str:
        """Return the task's own id after so many seconds."""
        task: str = self.request.id
        ledger().write(Fact.STARTED, task)
        time.sleep(seconds)
        ledger().write(Fact.ENDED, task)
        return task


@cache
def ledger() -> Ledger:
    """Return this process's ledger; a fork may share the descriptor, for each write is whole."""
    return Ledger(Path(os.environ[VARIABLE]))
