"""The library that a worker needs beside Celery, `celery_delivery`: whether this interpreter has one that suits this agent.

Its one number, INTERFACE, tells. It is looked at before anything else of the library is imported.
"""

from __future__ import annotations

import importlib
import importlib.metadata
import importlib.util
import sys
from pathlib import Path

PACKAGE = "celery_delivery"
INTERFACE = 1  # that this agent was written for
DISTRIBUTION = "celery-delivery"
RELEASES = ">=0.1,<0.2"  # that have it
SOURCE = Path(__file__).parents[2] / PACKAGE  # beside the agent where that runs from a checkout


def lend() -> bool:
    """Have the agent's own copy of the library found, where this interpreter has none: a project's own app needs none.

    Return whether it was lent.
    """
    init = SOURCE / "__init__.py"
    if importlib.util.find_spec(PACKAGE) is not None or not init.exists():
        return False
    spec = importlib.util.spec_from_file_location(PACKAGE, init, submodule_search_locations=[str(SOURCE)])
    if spec is None or spec.loader is None:
        return False
    sys.modules[PACKAGE] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(sys.modules[PACKAGE])
    return True


def is_there(module: str) -> bool:
    """Tell whether there is the package that a module is in; nothing is imported."""
    return importlib.util.find_spec(module.partition(".")[0]) is not None


def misfit() -> str | None:
    """Return why this agent can't work with this interpreter's library, with the command that mends it; None where it can."""
    try:
        found = importlib.import_module(f"{PACKAGE}.interface").INTERFACE
    except ModuleNotFoundError as error:
        if error.name == PACKAGE:
            return absence()
        return f"its {PACKAGE} says no interface, so that it is older than {INTERFACE}. Bring it up: {_install('--upgrade')}"
    except Exception as error:
        return f"its {PACKAGE} can't be imported: {error!r}. Install it anew: {_install('--force-reinstall')}"
    if not isinstance(found, int) or found < INTERFACE:
        return f"its {PACKAGE} has interface {found!r}, and this agent needs {INTERFACE}. Bring it up: {_install('--upgrade')}"
    if found > INTERFACE:
        return (
            f"its {PACKAGE} has interface {found}, newer than {INTERFACE}, the newest that this agent knows. "
            f"Upgrade the agent, or install an older one: {_install(below=_version())}"
        )
    return None


def absence() -> str:
    """Return what to do where the library is not there."""
    return f"it has no {PACKAGE}. Install it: {_install()}"


def _install(option: str = "", below: str | None = None) -> str:
    """Return the pip command that installs a library that suits; it takes the agent's own checkout where there is one."""
    if (SOURCE / "pyproject.toml").exists():
        return " ".join(filter(None, [sys.executable, "-m pip install", option, str(SOURCE)]))
    releases = RELEASES if below is None else f"{RELEASES},<{below}"
    command = " ".join(filter(None, [sys.executable, "-m pip install", option, f"'{DISTRIBUTION}{releases}'"]))
    return f"{command} (or its wheel: docs/contracts.md)"


def _version() -> str | None:
    """Return the release of the library that is installed, None where it only lies on the path."""
    try:
        return importlib.metadata.version(DISTRIBUTION)
    except importlib.metadata.PackageNotFoundError:
        return None
