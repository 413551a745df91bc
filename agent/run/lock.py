"""The lock that makes an instance run only once on a node, and its runtime folder, where the lock lies."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

from agent.errors import AgentError, ConfigurationError


def hold_lock(folder: Path) -> int:
    """Return the descriptor of the instance's lock, held until it is closed; make the folder where it is missing.

    Raises ConfigurationError where the folder can't be written, and AgentError where another agent holds the lock: that one
    may go, so systemd should try again.
    """
    path = folder / "lock"
    try:
        folder.mkdir(mode=0o750, parents=True, exist_ok=True)
        lock = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o640)
    except OSError as error:
        raise ConfigurationError(
            f"the runtime folder {folder} can't be written ({error.strerror}): "
            "make it the agent's, or name another in CELERY_AGENT_RUNTIME_DIR"
        ) from error
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        os.close(lock)
        raise AgentError(
            f"instance {folder.name} is running already ({path} is locked): see `agent status {folder.name}`"
        ) from error
    return lock
