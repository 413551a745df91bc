"""Whether this user may write to a folder."""

from __future__ import annotations

import os
from pathlib import Path


def check_folder(folder: Path) -> None:
    """Raise PermissionError for one that is not there, or may not be written to."""
    if not os.access(folder, os.W_OK | os.X_OK):
        raise PermissionError(f"{folder} is no folder that this user may write to")
