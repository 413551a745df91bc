"""The work that every contender hosts: one trivial task class per queue, the same settings, the same options."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
MARKER = "BENCH_RUN"  # every process of a run inherits it, so that it can be found wherever it went
OPTIONS = ("--without-gossip", "--without-mingle", "--without-heartbeat", "--loglevel=WARNING")
POOLS = ("solo", "threads", "prefork")

MODULE = '''
import celery
from celery_delivery.apps import create_app_from

def make(name):
    def run(self, mark=None):
        if mark:
            open(mark, "w").close()
    return type(name, (celery.Task,), {"name": name, "run": run, "ignore_result": True})

for number in range(__COUNT__):
    globals()[f"bench{number}"] = make(f"bench{number}")

def __getattr__(name):
    """app_<queue> is what `celery -A` gets; stock_<queue> is the same without the mends of celery_delivery.worker.consumer.

    inspected_<queue> is one that `celery inspect` gets an answer from.
    """
    kind, _, queue = name.partition("_")
    if kind not in ("app", "stock", "inspected") or queue not in globals():
        raise AttributeError(name)
    app = create_app_from([globals()[queue]], "celery_tasks.celery_config")
    if kind == "stock":
        app.conf.worker_consumer = "celery.worker.consumer:Consumer"
    if kind == "inspected":
        app.conf.worker_enable_remote_control = True
        app.control_cls = "celery.app.control:Control"
    return app
'''


@dataclass(frozen=True, slots=True)
class Workload:
    """What is to be hosted.

    folder: where the user code and a contender's own files lie.
    count: queues, with one task class each.
    pool: Celery's pool; concurrency is 1.
    prefetch: messages fetched ahead.
    variables: where the broker is, and the marker.
    """

    folder: Path
    count: int
    pool: str
    prefetch: int
    variables: dict[str, str]

    @property
    def queues(self) -> list[str]:
        """Return the names of the queues, which are also those of their task classes."""
        return [f"bench{number}" for number in range(self.count)]

    @property
    def environment(self) -> dict[str, str]:
        """Return the environment of everything that is started; bytecode is cached, as on a real node.

        TMPDIR: billiard's pools make a folder there, which a killed worker leaves behind.
        """
        inherited = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
        own = {"PYTHONPATH": f"{self.folder}:{ROOT}", "TMPDIR": str(self.folder), "C_FORCE_ROOT": "1"}
        return {**inherited, **own, **self.variables}

    def write(self) -> None:
        """Write the user code."""
        (self.folder / "work.py").write_text(MODULE.replace("__COUNT__", str(self.count)))

    def worker_options(self, queue: str) -> list[str]:
        """Return what `celery worker` is told of a queue."""
        # `celery multi` takes a long option's value after = only
        return ["-Q", queue, "-P", self.pool, "-c", "1", f"--prefetch-multiplier={self.prefetch}", *OPTIONS]

    def command(self, queue: str, kind: str = "app") -> list[str]:
        """Return the command that runs one queue's worker; `kind` is that of its app, see MODULE."""
        app = f"work:{kind}_{queue}"
        return [program("celery"), "-A", app, "worker", "-n", f"{queue}@bench", *self.worker_options(queue)]


def program(name: str) -> str:
    """Return the path of a program of this virtual environment, which holds the peers too."""
    return str(Path(sys.executable).parent / name)
