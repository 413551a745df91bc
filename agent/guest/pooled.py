"""Connections in the pools of libraries, which open them again where they are needed.

A project that looks into its cache or its database while it is loaded leaves one behind. Closed before a fork, none is shared.

    Django       databases and caches: what Celery's Django fixup closes in each process
    redis-py     each pool: a connection of it connects by itself
"""

from __future__ import annotations

import gc
import sys
from contextlib import suppress


def close() -> None:
    """Close those of this process that nobody is using: for a process that has imported user code, and is about to fork."""
    for module, name in (("django.db", "connections"), ("django.core.cache", "caches")):
        connections = getattr(sys.modules.get(module), name, None)
        if connections is not None:
            with suppress(Exception):  # of settings that are none, say: what is still open will be told
                connections.close_all()
    pool = getattr(sys.modules.get("redis.connection"), "ConnectionPool", None)
    if pool is not None:
        # Not isinstance(), which asks lazy objects for their class, so that they make what they stand for.
        for each in [each for each in gc.get_objects() if issubclass(type(each), pool)]:
            with suppress(Exception):
                each.disconnect()
