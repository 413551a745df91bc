"""What is heard of Celery's signals, and of hooks, written down as lines of files."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from celery import bootsteps, signals

WORKER = (
    "celeryd_init",
    "celeryd_after_setup",
    "worker_init",
    "worker_ready",
    "worker_process_init",
    "task_received",
    "task_prerun",
    "task_postrun",
    "task_success",
    "task_failure",
    "task_retry",
    "task_revoked",
    "task_rejected",
    "task_unknown",
    "heartbeat_sent",
    "after_setup_logger",
    "after_setup_task_logger",
    "import_modules",
)
_kept: list[Any] = []


class Step(bootsteps.StartStopStep):
    """A boot step of the worker that says that it was started."""

    def start(self, parent: Any) -> None:
        hear("bootstep")


def listen() -> None:
    """Write down each signal of a worker that this process hears from now on; once, however often it is called."""
    if _kept or "GUIDE_HEARD" not in os.environ:
        return
    for each in WORKER:

        def heard(_signal: str = each, **_: Any) -> None:  # their own arguments have names such as `name`
            hear(_signal)

        _kept.append(heard)
        getattr(signals, each).connect(heard)
    _kept.append(add_step)
    signals.celeryd_init.connect(add_step)


def add_step(instance: Any = None, **_: Any) -> None:
    instance.app.steps["worker"].add(Step)


def hear(name: str) -> None:
    """Write down that a signal was heard."""
    note(name, os.environ["GUIDE_HEARD"])


def note(word: str, file: str) -> None:
    """Add a line to a file."""
    with Path(file).open("a") as notes:
        notes.write(f"{word}\n")
