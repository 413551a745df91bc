"""Nothing that a run of the tests has started outlives it."""

import subprocess
import sys
from pathlib import Path

import psutil

from tests.waiting import wait_until

ENDLESS = Path(__file__).with_name("left_running.py")
STARTED = {"beam.smp", "epmd", "redis-server", "agent-template", "alpha"}


def test_brokers_and_agents_end_with_a_run_that_is_killed() -> None:
    with subprocess.Popen([sys.executable, "-m", "pytest", "-n1", ENDLESS]) as run:  # the test is in a process below it
        try:
            wait_until(lambda: _names_below(run.pid) >= STARTED, 120, "all run")
            started = psutil.Process(run.pid).children(recursive=True)
        finally:
            run.kill()
        _, left = psutil.wait_procs(started, timeout=60)
    assert left == []


def _names_below(pid: int) -> set[str]:
    names = set()
    for process in psutil.Process(pid).children(recursive=True):
        try:
            names.add(process.name())
        except psutil.NoSuchProcess:  # many are there for a moment only
            continue
    return names
