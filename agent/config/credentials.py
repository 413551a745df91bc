"""What tasks inherit of the unit: its credentials, and none of the variables that are for the service alone.

Source: systemd.exec(5) on LoadCredential=, sd_notify(3), sd_listen_fds(3).
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path

from agent.config.problems import InvalidConfiguration, Problem

# Tasks must not speak for the service, nor feed its watchdog, nor take its sockets for theirs.
PRIVATE_PREFIXES = ("NOTIFY_", "WATCHDOG_", "LISTEN_")

CREDENTIALS = "CREDENTIALS_DIRECTORY"
_VARIABLE = re.compile(r"[A-Z][A-Z0-9_]*")


def hidden(environment: Mapping[str, str], instance: str) -> str:
    """Return what is to be said where the unit has credentials that this user may not read; empty where it has none, or may."""
    folder = _folder(environment, instance)
    try:
        os.listdir(folder)
    except PermissionError:
        return f"This user may not look into {folder}: the credentials of the unit, as a password, are missing below. Be root."
    except OSError:
        pass
    return ""


def with_credentials(environment: Mapping[str, str], instance: str) -> dict[str, str]:
    """Return an environment in which NAME_FILE leads to each credential NAME of the unit, where it says nothing else.

    A command that is run by hand finds those of the running unit, where it may read them. Raises InvalidConfiguration for
    an empty one: SetCredential= of `deploy/systemd/dropins/credentials.conf` makes it where a source is missing.
    """
    unit, folder = _unit(instance), _folder(environment, instance)
    try:
        files = [folder / name for name in sorted(os.listdir(folder)) if _VARIABLE.fullmatch(name)]
        empty = [file.name for file in files if not file.read_bytes().strip()]
    except OSError:
        files, empty = [], []
    if empty:
        raise InvalidConfiguration(
            tuple(
                Problem(
                    f"{unit}: its credential {name} is empty. Make the file that LoadCredential={name}: names, "
                    f"see `systemctl cat {unit}`."
                )
                for name in empty
            )
        )
    return {**{f"{file.name}_FILE": str(file) for file in files}, **environment}


def _unit(instance: str) -> str:
    return f"celery-agent@{instance}.service"


def _folder(environment: Mapping[str, str], instance: str) -> Path:
    return Path(environment.get(CREDENTIALS) or f"/run/credentials/{_unit(instance)}")
