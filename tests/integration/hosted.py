"""A worker without an agent at a broker that delivers bytes as they are, and what became of each message."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from tests.integration import hosting_worker
from tests.integration.wire_broker import Delivery, WireBroker
from tests.ports import HOST
from tests.waiting import wait_until

ROOT = Path(__file__).parents[2]
STOP = 60.0  # seconds; a stop takes two
IDLE = 60.0  # seconds without a message that is settled, after which the worker stands still


def noted(notes: Path, word: str) -> Counter[int]:
    """Return how often a word stands in the notes of `hosting_worker`, by the messages' numbers."""
    text = notes.read_text(errors="replace")
    return Counter(int(number) for number in re.findall(rf"^{word} (\d+)", text, re.MULTILINE))


class Hosted:
    """The worker, which has ended or not, and its notes."""

    def __init__(self, folder: Path, messages: Sequence[Delivery], pool: str, prefetch: int) -> None:
        """Start it; its output and notes are in the folder."""
        self.broker = WireBroker(messages)
        self._count = len(messages)
        self._notes, self._log = folder / "notes", folder / "log"
        self._notes.touch()
        options = ["--pool", pool, "--prefetch-multiplier", str(prefetch), "--loglevel", "WARNING"]
        variables = {"PYTHONPATH": str(ROOT), "RABBITMQ_HOST": HOST, "RABBITMQ_PORT": str(self.broker.port)}
        variables["PYTHONFAULTHANDLER"] = "1"
        variables["HOSTING_NOTES"] = str(self._notes)
        with self._log.open("wb") as output:
            self._process = subprocess.Popen(
                [sys.executable, hosting_worker.__file__, "--concurrency", "1", *options],
                env={**os.environ, **variables},
                stdout=output,
                stderr=output,
                start_new_session=True,
            )

    def settle(self) -> None:
        """Return when each message is acked or rejected; fail where the worker ends before, or stands still."""
        while not self.broker.is_done:
            wait_until(partial(self._has_moved, self.broker.settled()), IDLE, self._text())
            assert not self._has_ended, f"the worker has ended; it had {self.broker.held()}\n{self.log()[-3000:]}"

    def stop(self) -> int:
        """Have it end as a signal asks it to; return its exit status. Fail with its threads' stacks where it does not."""
        self._process.terminate()
        try:
            return self._process.wait(STOP)
        except subprocess.TimeoutExpired:
            os.killpg(self._process.pid, signal.SIGABRT)
            self._process.wait()
            raise AssertionError(f"the worker has not ended in {STOP:g} s\n{self.log()[-6000:]}") from None

    def log(self) -> str:
        return self._log.read_text(errors="replace")

    def noted(self, word: str) -> Counter[int]:
        """Return how often a word stands in the notes, by the messages' numbers; what the worker has sent has none."""
        return noted(self._notes, word)

    def sent(self) -> int:
        """Return how many messages the worker has sent to its own queue that were acked."""
        return sum(place >= self._count for place in self.broker.fate.acked)

    def rejected(self) -> set[int]:
        """Return the places of the messages that were rejected, by themselves or by a copy that the worker has sent.

        A copy takes the place of one that was acked, and not run; fail where one of them is missing.
        """
        fate = self.broker.fate
        own = [place for place in fate.rejected if place < self._count]
        replaced = (
            {place for place in fate.acked if place < self._count} - set(self.noted("ran")) - set(self.noted("told"))
        )
        assert len(fate.rejected) - len(own) == len(replaced), f"acked and not run: {sorted(replaced)}"
        return {*own, *replaced}

    def close(self) -> None:
        """Kill it, and its pool."""
        if not self._has_ended:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
        self.broker.close()

    def _has_moved(self, before: int) -> bool:
        return self._has_ended or self.broker.is_done or self.broker.settled() > before

    @property
    def _has_ended(self) -> bool:
        return self._process.poll() is not None

    def _text(self) -> str:
        return f"the worker settles one more; it has {self.broker.held()}, see {self._log}"
