"""Celery's pools as a node runs them: what tasks start is as free there as in a program of its own, and ends with them.

Celery's own pool                                               here
--------------------------------------------------------------  -----------------------------------------------
prefork: multiprocessing starts nothing: "daemonic processes    it does, as in the other pools
are not allowed to have children" (celery #4525)
prefork: multiprocessing spawns nothing: "Pickling an           it does
AuthenticationString object is disallowed"
prefork: the programs of tasks ignore SIGINT, as the process    they don't
does: what is ignored stays so over exec (bgtunnel #1)
prefork: the programs of a task that is killed live on          they end with it
(billiard #204)
threads: worker_process_init is not sent (celery #5405)         it is, as in the other pools
"""

from __future__ import annotations

import multiprocessing
import signal
from types import FrameType
from typing import Any

from billiard.process import current_process
from celery.concurrency.thread import TaskPool as ThreadPool
from celery.signals import worker_process_init, worker_process_shutdown

from ..descendants import ended_with, kill_after
from ..kernel import set_title

PATIENCE = 5.0  # seconds in which a task that is ended may clean up; it may be run again already
_FATAL = (None, signal.SIGTERM, signal.SIGKILL)  # signals that end a process of a pool; None is SIGTERM


def ignore(_number: int, _frame: FrameType | None) -> None:
    """Do nothing about a signal, and leave it to the programs that are started what they do: SIG_IGN would not."""


class Threads(ThreadPool):
    """Threads for tasks."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        _, hostname = options["initargs"]
        worker_process_init.send(sender=hostname)


def processes(base: Any, name: str) -> Any:
    """Return a prefork pool's class, made of Celery's own or of one that the settings name; `ps` shows them by `name`."""

    class Worker(base.Pool.Worker):
        def on_loop_start(self, pid: int) -> None:
            set_title(f"celery-agent pool process {name}")
            signal.signal(signal.SIGINT, ignore)
            # What it guards against can't be: what is left of a task's processes ends with the worker, at the latest.
            process = current_process()
            process._config["daemon"] = False  # noqa: SLF001 - the setter refuses for a running one
            # multiprocessing hands its own kind of key on to what it spawns, and refuses that of Celery's.
            key = multiprocessing.process.AuthenticationString(process.authkey)  # type: ignore[attr-defined]
            process._config["authkey"] = key  # noqa: SLF001
            worker_process_shutdown.connect(_end_children)
            super().on_loop_start(pid)

    class TimeoutHandler(base.Pool.TimeoutHandler):
        def _trywaitkill(self, worker: Any) -> None:
            with ended_with(worker.pid):
                super()._trywaitkill(worker)

    class Pool(base.Pool):
        def terminate_job(self, pid: int, sig: int | None = None) -> None:
            process, _ = self._process_by_pid(pid)
            if process is None or sig not in _FATAL:
                super().terminate_job(pid, sig)
                return
            with ended_with(pid):
                super().terminate_job(pid, sig)
            kill_after(PATIENCE, pid)

    Pool.Worker = Worker
    Pool.TimeoutHandler = TimeoutHandler
    return type("Processes", (base,), {"Pool": Pool})


def _end_children(**_: Any) -> None:
    """End what multiprocessing has started in a process that ends by itself; nobody would join it."""
    for child in multiprocessing.active_children():
        child.terminate()
