"""Whether there is room for what the agent keeps."""

from __future__ import annotations

import os

LEAST = 8_388_608  # bytes; the agent's largest file has 4 MiB, and the new one is written beside the old one


def lacking(folder: str) -> str:
    """Return why a folder has no room for the agent's files, and what to do, in one line.

    Empty where it has, or where that can't be told, as of a folder that is not there.
    """
    try:
        disk = os.statvfs(folder)
    except OSError:
        return ""
    free = disk.f_bavail * disk.f_frsize
    if disk.f_flag & os.ST_RDONLY:
        what, step = "is mounted read-only", "mount it to be written to"
    elif free < LEAST:
        what, step = f"has {free // 1_024} KiB left", "free space there"
    elif disk.f_files and not disk.f_favail:
        what, step = "has no inode left", "remove files there"
    else:
        return ""
    return f"the disk of {folder} {what}, where the agent keeps what it knows of deaths: {step}"
