"""The result backends that installed libraries bring: the template looks for them, so that its workers need not.

Celery would in each worker, at its first task: that made 0.5 MB of memory, of 13.7, the worker's own. Before 5.7 it keeps
nothing of what it finds.
"""

from __future__ import annotations

import sys
from contextlib import suppress

from celery.utils.imports import load_extension_class_names

_searched: list[str] = []  # what sys.path was


def look() -> None:
    """Have Celery look now, and keep what it has found."""
    with suppress(Exception):  # a library says what can't be read: the workers that need it will tell
        load_extension_class_names("celery.result_backends")
        _searched[:] = sys.path


def forget_elsewhere() -> None:
    """Have Celery look again where code that was imported since leads to other libraries."""
    if sys.path != _searched and hasattr(load_extension_class_names, "cache_clear"):
        load_extension_class_names.cache_clear()
