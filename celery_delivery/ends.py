"""What is to be done when a process ends by itself."""

import atexit
import os
from collections.abc import Callable
from multiprocessing.util import Finalize
from typing import Any

from celery import signals

_arranged: set[tuple[int, Callable[[], None]]] = set()


def at_end(do: Callable[[], None]) -> None:
    """Have a function called when this process ends: each kind of process has its own way to say so.

    It may be called more than once, and asked for as often as one likes.
    """
    if (os.getpid(), do) in _arranged:
        return
    _arranged.add((os.getpid(), do))

    def call(**_signal: Any) -> None:
        do()

    atexit.register(do)
    Finalize(None, do, exitpriority=0)  # a child of multiprocessing has no atexit
    signals.worker_process_shutdown.connect(call, weak=False)  # nor has one of the pool
