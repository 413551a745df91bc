"""The facts of the machine that a run's figures belong to."""

from __future__ import annotations

import os
import platform
import time
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

from agent.version import VERSION
from bench import processes
from tests.rabbitmq import RabbitMQ

CALM = 0.1  # of the machine, that others take at most while it is calm
LOOK = 0.5  # seconds
PATIENCE = 5.0  # seconds
PACKAGES = ("celery", "kombu", "billiard", "circus", "supervisor")


def facts(broker: RabbitMQ) -> list[str]:
    """Return lines on machine, versions and date."""
    memory = int(_value("/proc/meminfo", "MemTotal").split()[0]) // 1024
    return [
        f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC",
        f"{os.cpu_count()} cores ({_value('/proc/cpuinfo', 'model name')}), {memory} MB of memory, Linux {platform.release()}",
        f"celery-agent {VERSION}, Python {platform.python_version()}, "
        + ", ".join(f"{name} {version(name)}" for name in PACKAGES),
        f"RabbitMQ {broker.control('version').strip()} on the same machine, with one scheduler",
    ]


def load() -> float:
    """Return the load of the last minute."""
    return os.getloadavg()[0]


class Strangers:
    """How much of the machine others take while something is measured: who is no descendant of this process."""

    def __init__(self) -> None:
        """Watch from now on."""
        self._started = time.monotonic()
        self._before = self._cpu()

    def share(self) -> float:
        """Return what they took so far, as a share of all cores."""
        took = self._cpu() - self._before
        return max(0.0, took / (time.monotonic() - self._started) / (os.cpu_count() or 1))

    def _cpu(self) -> float:
        _, *ticks = Path("/proc/stat").read_text().splitlines()[0].split()
        user, nice, system, _, _, irq, softirq, steal, *_ = (int(each) for each in ticks)
        used = (user + nice + system + irq + softirq + steal) / processes.TICKS
        return used - time.process_time() - processes.reaped() - sum(map(processes.cpu, processes.family()))


def await_calm() -> None:
    """Return once others leave the machine alone, or patience ends."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        strangers = Strangers()
        time.sleep(LOOK)
        if strangers.share() < CALM:
            return


def _value(path: str, name: str) -> str:
    """Return what stands behind the first `name:` of a file of /proc."""
    pairs = (line.partition(":") for line in Path(path).read_text().splitlines())
    return next((value.strip() for key, _, value in pairs if key.strip() == name), f"no {name}")
