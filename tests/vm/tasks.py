"""User code on the guest: tasks that want more than they may have."""

import os
import subprocess
import time
from pathlib import Path

import celery

MIB = 1_048_576


class _Eater(celery.Task):
    def run(self, mib: int) -> int | str:
        """Hold so much memory, at the first delivery; say how it went."""
        if self.request.delivery_info["redelivered"]:
            return "redelivered"
        return len(b"x" * (mib * MIB))


class Hungry(_Eater):
    name = "hungry"


class Alone(_Eater):
    name = "alone"


class Other(celery.Task):
    name = "other"

    def run(self, action: str = "return", value: int = 0) -> int:
        if action == "sleep":
            time.sleep(value)
        elif action == "eat" and not self.request.delivery_info["redelivered"]:
            return len(b"x" * (value * MIB))
        return os.getpid()


class Fertile(celery.Task):
    name = "fertile"

    def run(self, count: int, keep: bool = False) -> int:
        """Start so many processes out of the process group's reach; return how many there could be."""
        started: list[subprocess.Popen[bytes]] = []
        while len(started) < count:
            try:
                started.append(subprocess.Popen(["sleep", "4711"], start_new_session=True))
            except OSError:
                break
        if not keep:
            for each in started:
                each.kill()
                each.wait()
        return len(started)


class _Burner(celery.Task):
    def run(self) -> None:
        """Compute until a file is there."""
        while not Path("enough").exists():
            sum(range(100_000))


class Light(_Burner):
    name = "light"


class Heavy(_Burner):
    name = "heavy"
