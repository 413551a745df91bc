"""The lock that makes an instance run only once on a node, and its runtime folder, where the lock lies."""

from __future__ import annotations

import errno
import fcntl
import os
from pathlib import Path

from agent.errors import AgentError, ConfigurationError

NAME = "lock"
_OTHERS_WRITE = 0o022


def hold_lock(folder: Path) -> int:
    """Return the descriptor of the instance's lock, held until it is closed; make the folder where it is missing.

    No link is followed, and the folder is nobody else's: who may write there could put another lock or socket in their places.

    Raises ConfigurationError where the folder can't be used, and AgentError where another agent holds the lock: that one
    may go, so systemd should try again.
    """
    try:
        folder.mkdir(mode=0o750, parents=True, exist_ok=True)
        place = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            _check(folder, os.fstat(place))
            lock = os.open(NAME, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600, dir_fd=place)
            os.fchmod(lock, 0o600)  # one that was there: who may read it may hold it
        finally:
            os.close(place)
    except OSError as error:
        is_link = error.errno == errno.ELOOP or folder.is_symlink()
        why = "or its lock is a link to elsewhere" if is_link else f"can't be written ({error.strerror})"
        raise _unusable(folder, why) from error
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        os.close(lock)
        raise AgentError(
            f"instance {folder.name} is running already ({folder / NAME} is locked): see `agent status {folder.name}`"
        ) from error
    return lock


def is_in_place(lock: int, folder: Path) -> bool:
    """Say whether a lock is the one that the next agent would want to hold."""
    try:
        there = os.stat(folder / NAME, follow_symlinks=False)
    except OSError:
        return False
    return os.path.samestat(there, os.fstat(lock))


def _check(folder: Path, found: os.stat_result) -> None:
    if found.st_uid != os.geteuid():
        raise _unusable(folder, "is another user's")
    if found.st_mode & _OTHERS_WRITE:
        raise _unusable(folder, "can be written by others")


def _unusable(folder: Path, why: str) -> ConfigurationError:
    return ConfigurationError(
        f"the runtime folder {folder} {why}: make it the agent's alone, or name another in CELERY_AGENT_RUNTIME_DIR"
    )
