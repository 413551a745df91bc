"""What systemd says of an instance's unit: whether it has ended for good, and why. systemctl(1)."""

from __future__ import annotations

import subprocess
from pathlib import Path

from agent.config.instances import DEFAULT_RUNTIME, Folders, checked_name
from agent.guest.values import dataclass

PATIENCE = 5.0  # seconds for an answer of systemd


@dataclass(frozen=True, slots=True)
class Unit:
    """celery-agent@INSTANCE.service.

    state: systemd's ActiveState, such as failed, or activating between two starts.
    status: the exit status of the agent's last end. text: the line that the agent told systemd last.
    """

    state: str
    status: int
    text: str


def unit_of(places: Folders, instance: str) -> Unit | None:
    """Return what systemd says; None where it can't be asked, or the folders are not those of the unit."""
    if places.runtime != Path(DEFAULT_RUNTIME):
        return None
    name = f"celery-agent@{checked_name(instance)}.service"
    command = ["systemctl", "show", "--property=ActiveState,ExecMainStatus,StatusText", name]
    try:
        done = subprocess.run(command, capture_output=True, text=True, errors="replace", timeout=PATIENCE, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    found = dict(line.partition("=")[::2] for line in done.stdout.splitlines())
    return Unit(found.get("ActiveState", ""), int(found.get("ExecMainStatus") or 0), found.get("StatusText", ""))
