"""A project's own app, hosted in several ways: what all processes of that take of memory.

Each way has one worker for each queue, with the same concurrency and prefetch, and options as Celery has them by default.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from bench import processes
from bench.stage import SETTLE_TIMEOUT, SETTLED, BenchError
from bench.workload import MARKER
from tests import leftovers
from tests.waiting import wait_until

START_TIMEOUT = 600.0  # seconds; five workers that import a large project at once, on a busy machine
CELERY_WORKER = "`celery worker` for each queue"
CELERY_MULTI = "`celery multi`"
AGENT = "the agent"
PRELOADING = "the agent, with `CELERY_AGENT_PRELOAD={preload}`"
WAYS = (CELERY_WORKER, CELERY_MULTI, AGENT, PRELOADING)

CONSUMED = """
from celery.app.utils import find_app
app = find_app({app!r})
found = app.control.inspect(timeout=5, limit={count}).active_queues() or {{}}
print(" ".join(queue["name"] for queues in found.values() for queue in queues))
"""


@dataclass(frozen=True, slots=True)
class Hosting:
    """What is hosted.

    app, code, python: as CELERY_AGENT_APP, _PATH and _PYTHON have them. preload: as CELERY_AGENT_PRELOAD has it.
    variables: what the project reads of its environment.
    queues: each with its concurrency and prefetch.
    consume: as CELERY_AGENT_CONSUME has it, "" for all.
    work: has tasks of each queue done.
    """

    app: str
    code: Path
    python: Path
    preload: str
    variables: Mapping[str, str]
    queues: Mapping[str, tuple[int, int]]
    consume: str
    work: Callable[[], None]


@dataclass(frozen=True, slots=True)
class Memory:
    """MiB of memory (PSS) of all processes together: once all queues are consumed from, and after some tasks of each."""

    idle: float
    worked: float


def measure(hosting: Hosting, way: str) -> Memory:
    """Host the app in one of the WAYS, and end all of it again; raises BenchError where not all queues are consumed from."""
    folder = Path(tempfile.mkdtemp(prefix="celery-agent-bench-"))
    run = uuid.uuid4().hex
    marker = f"{MARKER}={run}"
    inherited = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    environment = {**inherited, **hosting.variables, MARKER: run, "TMPDIR": str(folder), "C_FORCE_ROOT": "1"}
    try:
        started = []
        for command in _commands(hosting, way, folder):
            with (folder / "log").open("ab") as log:
                started.append(
                    subprocess.Popen(
                        command, env=environment, cwd=hosting.code, stdout=log, stderr=log, start_new_session=True
                    )
                )
        try:
            wait_until(lambda: any(each.poll() for each in started) or _is_consumed(hosting), START_TIMEOUT)
            wait_until(lambda: _is_consumed(hosting), 1, "all queues are consumed from")
        except AssertionError as error:
            raise BenchError(f"{way}: {error}\n{(folder / 'log').read_text()[-3000:]}") from None
        _settle(marker)
        idle = processes.pss(leftovers.marked(marker))
        hosting.work()
        _settle(marker)
        return Memory(idle, processes.pss(leftovers.marked(marker)))
    finally:
        leftovers.end(marker)
        processes.reap()
        shutil.rmtree(folder, ignore_errors=True)


def table(hosting: Hosting, rounds: list[dict[str, Memory]]) -> list[str]:
    """Return the lines of a table: of each way the medians, and in brackets the least and the most."""
    lines = ["| | idle | after tasks |", "|---|---:|---:|"]
    for way in rounds[0]:
        cells = (_cell([each[way].idle for each in rounds]), _cell([each[way].worked for each in rounds]))
        lines.append(f"| {way.format(preload=hosting.preload)} | {cells[0]} | {cells[1]} |")
    return lines


def _cell(values: list[float]) -> str:
    return f"{median(values):,.0f} MiB ({min(values):,.0f} to {max(values):,.0f})"


def _commands(hosting: Hosting, way: str, folder: Path) -> list[list[str]]:
    celery = [str(hosting.python.parent / "celery")]
    match way:
        case "`celery worker` for each queue":
            return [
                [*celery, "-A", hosting.app, "worker", "-n", f"{queue}@bench", "-Q", queue, "-c", str(concurrency),
                 f"--prefetch-multiplier={prefetch}"]
                for queue, (concurrency, prefetch) in hosting.queues.items()
            ]  # fmt: skip
        case "`celery multi`":
            options = [f"--{kind}={folder}/%n.{kind}" for kind in ("pidfile", "logfile")]
            for queue, (concurrency, prefetch) in hosting.queues.items():
                options += [f"--queues:{queue}={queue}", f"--concurrency:{queue}={concurrency}"]
                options += [f"--prefetch-multiplier:{queue}={prefetch}"]
            return [[*celery, "multi", "start", *hosting.queues, "-A", hosting.app, "--loglevel=INFO", *options]]
        case _:
            return [_agent(hosting, folder, hosting.preload if way == PRELOADING else "")]


def _agent(hosting: Hosting, folder: Path, preload: str) -> list[str]:
    lines = {
        "CELERY_AGENT_APP": hosting.app,
        "CELERY_AGENT_PATH": str(hosting.code),
        "CELERY_AGENT_PYTHON": str(hosting.python),
        "CELERY_AGENT_DEFAULTS__START_TIMEOUT": "600",
        "CELERY_AGENT_IMPORT_TIMEOUT": "240",
        **({"CELERY_AGENT_CONSUME": hosting.consume} if hosting.consume else {}),
        **({"CELERY_AGENT_PRELOAD": preload} if preload else {}),
        **hosting.variables,
    }
    for queue, (concurrency, prefetch) in hosting.queues.items():
        lines[f"CELERY_AGENT_QUEUES__{queue}__CONCURRENCY"] = str(concurrency)
        lines[f"CELERY_AGENT_QUEUES__{queue}__PREFETCH"] = str(prefetch)
    env_file = folder / "bench.env"
    env_file.write_text("".join(f"{name}={value}\n" for name, value in lines.items()))
    runtime = f"CELERY_AGENT_RUNTIME_DIR={folder / 'run'}"
    return ["/usr/bin/env", runtime, sys.executable, "-m", "agent", "run", "bench", "--env-file", str(env_file)]


def _is_consumed(hosting: Hosting) -> bool:
    """Ask the workers by Celery's remote control."""
    done = subprocess.run(
        [str(hosting.python), "-c", CONSUMED.format(app=hosting.app, count=len(hosting.queues))],
        env={**os.environ, **hosting.variables, "PYTHONPATH": str(hosting.code)},
        cwd=hosting.code,
        capture_output=True,
        text=True,
        check=False,
    )
    return sorted(done.stdout.split()) == sorted(hosting.queues)


def _settle(marker: str) -> None:
    """Return when the processes do next to nothing, or patience ends."""
    deadline = time.monotonic() + SETTLE_TIMEOUT
    before = processes.spent(marker)
    while time.monotonic() < deadline:
        time.sleep(1)
        now = processes.spent(marker)
        if now - before < SETTLED:
            return
        before = now
