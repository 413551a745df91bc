"""The library that a worker needs beside Celery, `celery_delivery`: whether this interpreter has one that suits this agent.

Its one number, INTERFACE, tells. It is looked at before anything else of the library is imported.
"""

from __future__ import annotations

import importlib
import sys

PACKAGE = "celery_delivery"
INTERFACE = 1  # that this agent was written for
REQUIREMENT = "celery-delivery>=0.1,<0.2"  # the releases that have it


def misfit() -> str | None:
    """Return why this agent can't work with this interpreter's library, with the command that mends it; None where it can."""
    try:
        found = importlib.import_module(f"{PACKAGE}.interface").INTERFACE
    except ModuleNotFoundError as error:
        if error.name == PACKAGE:
            return f"it has no {PACKAGE}. Install it: {_install()}"
        return f"its {PACKAGE} says no interface, so that it is older than {INTERFACE}. Bring it up: {_install()}"
    except Exception as error:
        return f"its {PACKAGE} can't be imported: {error!r}. Install it anew: {_install()}"
    if not isinstance(found, int) or found < INTERFACE:
        return f"its {PACKAGE} has interface {found!r}, and this agent needs {INTERFACE}. Bring it up: {_install()}"
    if found > INTERFACE:
        return (
            f"its {PACKAGE} has interface {found}, newer than {INTERFACE}, the newest that this agent knows. "
            f"Upgrade the agent, or install an older one: {_install()}"
        )
    return None


def _install() -> str:
    return f"{sys.executable} -m pip install '{REQUIREMENT}'"
