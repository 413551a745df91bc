"""What is named by text: a project's own Celery app, found and loaded as `celery worker` does it, and task classes."""

from __future__ import annotations

import importlib
from collections.abc import Iterable
from typing import Any

from .spec import AND


def find(name: str) -> Any:
    """Return what `celery -A` finds by a name, an app or not; raises what importing it does, and AttributeError."""
    # Not at the top: Celery may be found only once the path of user code is set.
    found = importlib.import_module("celery.app.utils").find_app(name, imp=importlib.import_module)
    # What stands for another object, such as `current_app`, stands for the default one in other threads.
    present = getattr(found, "_get_current_object", None)
    return found if present is None else present()


def serving(names: str) -> Any:
    """Return the app that a worker runs: the last one named, or that of the decorated task that this is; all are imported."""
    *_, last = [find(name) for name in names.split(AND)]
    return last if isinstance(last, importlib.import_module("celery").Celery) else last.app


def load(app: Any) -> None:
    """Import an app's task modules, once it is the one that decorators and `current_app` mean; raises what they do."""
    app.set_default()
    app.set_current()
    app.loader.import_default_modules()
    app.finalize()


def task_class(path: str) -> Any:
    """Return the class that "module:Class" names; raises what importing it does, and AttributeError."""
    module, _, name = path.partition(":")
    return getattr(importlib.import_module(module), name)


def is_preloaded(name: str, preload: Iterable[str]) -> bool:
    """Tell whether one of the preloaded modules is that of the app, so that the whole app is loaded before the fork."""
    module = name.partition(":")[0]
    return bool(name) and not {module, f"{module}.celery"}.isdisjoint(preload)
