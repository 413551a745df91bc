"""What an operator is told of an instance, at each of the places where one looks."""

from __future__ import annotations

import re
import socket
from collections.abc import Mapping
from pathlib import Path

from tests.health.stage import Stage

STATUS, SYSTEMD, CHECK, METRICS, LOG = "agent status", "systemctl status", "agent check", "metrics", "log"
PLACES = (STATUS, SYSTEMD, CHECK, METRICS, LOG)
_METRICS = (
    "celery_worker_up{",
    "celery_agent_queue_health{",
    "celery_agent_state_writable{",
    "celery_agent_queue_clock_behind{",
)


class Systemd:
    """Stands for systemd's end of sd_notify(3)."""

    def __init__(self, path: Path) -> None:
        """Listen."""
        self.path = path
        self._status = ""
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(str(path))
        self._socket.setblocking(False)

    def status(self) -> str:
        """Return the line that `systemctl status` would show."""
        while True:
            try:
                told = self._socket.recv(65_536).decode()
            except BlockingIOError:
                return self._status
            for line in told.splitlines():
                name, _, value = line.partition("=")
                self._status = value if name == "STATUS" else self._status

    def close(self) -> None:
        """Hear no more."""
        self._socket.close()


def told(stage: Stage, systemd: Systemd, before: int) -> Mapping[str, tuple[str, ...]]:
    """Return the lines that each place has of what is wrong; those of the log are what came after so many characters."""
    status = stage.node.run("status", "magic").stdout
    check = stage.node.run("check", "magic")
    metrics = stage.node.run("metrics", "magic").stdout.splitlines()
    return {
        STATUS: tuple(line.strip() for line in status.splitlines()[1:]),
        SYSTEMD: (systemd.status(),),
        CHECK: tuple(
            " ".join(line.split())
            for line in (check.stdout + check.stderr).splitlines()
            if any(word in line for word in ("FAIL", "warn"))
        ),
        METRICS: tuple(
            line.replace('agent="magic",', "").replace(f'hostname="{socket.gethostname()}",', "")
            for line in metrics
            if line.startswith(_METRICS) and not (line.startswith(_METRICS[1]) and line.endswith(" 0"))
        ),
        LOG: tuple(line for line in stage.log()[before:].splitlines() if _tells(line)),
    }


def _tells(line: str) -> bool:
    """Say whether a line of the log is about something that is wrong, and no line of a traceback."""
    agent_s = line.startswith("celery-agent[") and "worker-" not in line
    return agent_s or "ERROR/" in line or "WARNING/" in line or "CRITICAL/" in line


def without_time(line: str) -> str:
    """Return a line without what is another one each time: times, ports, names that a test has made up."""
    line = re.sub(r"^\[[\d :,-]+: ", "[", line)
    line = re.sub(r"(health|node-health)-[0-9a-f]{12}", r"\1", line)
    line = re.sub(r"127\.0\.0\.1:\d+", "127.0.0.1:PORT", line)
    line = re.sub(r"/tmp/\S+/", "/tmp/…/", re.sub(r"\bfor \d[\d.]* s\b", "for … s", line))
    return re.sub(r"seconds=[\d.]+", "seconds=…", line)
