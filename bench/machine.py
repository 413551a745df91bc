"""The facts of the machine that a run's figures belong to."""

from __future__ import annotations

import os
import platform
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

from agent.version import VERSION
from tests.rabbitmq import RabbitMQ

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


def _value(path: str, name: str) -> str:
    """Return what stands behind the first `name:` of a file of /proc."""
    pairs = (line.partition(":") for line in Path(path).read_text().splitlines())
    return next((value.strip() for key, _, value in pairs if key.strip() == name), f"no {name}")
