"""How the agent starts a program of its own beside itself."""

from __future__ import annotations

import sys
from pathlib import Path

ROOT = str(Path(__file__).parents[2])  # where this very agent is imported from
_PROGRAM = (
    "import runpy, sys; sys.path.insert(0, {root!r}); runpy.run_module({module!r}, run_name='__main__', alter_sys=True)"
)
_UNCOLLECTED = "import gc; gc.disable(); "


def own(module: str) -> tuple[str, ...]:
    """Return the command that runs a module as `python -m` does, and imports nothing from the working folder.

    There tasks may write: a file `tempfile.py` would be taken for Python's own.
    """
    return _command("", module)


def own_in_short(module: str) -> tuple[str, ...]:
    """Do the same for a program that ends within a second: of its CPU a tenth would go into looking for garbage."""
    return _command(_UNCOLLECTED, module)


def _command(first: str, module: str) -> tuple[str, ...]:
    return (sys.executable, "-P", "-c", first + _PROGRAM.format(root=ROOT, module=module))
