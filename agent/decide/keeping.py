"""Where the agent keeps what outlasts it, and what is wrong there."""

from __future__ import annotations

import errno

from agent.guest.values import dataclass

_FULL = (errno.ENOSPC, errno.EDQUOT)


@dataclass(frozen=True, slots=True)
class Keeping:
    """The folder of the agent's own files; fault: why the newest of them is not written, and what to do; empty where it is."""

    folder: str = ""
    fault: str = ""


def fault(folder: object, error: OSError) -> str:
    """Return what a write that failed means, and the next step, in one line."""
    what = f"what is known of deaths can't be written, and is lost if the agent ends: {error.strerror or error}"
    return f"{what}: {_step(folder, error)}"


def _step(folder: object, error: OSError) -> str:
    if error.errno in _FULL:
        return f"free space on the disk of {folder}"
    return f"have {folder} be a folder that the agent's user can write in"
