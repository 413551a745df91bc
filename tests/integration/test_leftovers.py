"""Nothing that a run of the tests has started outlives it."""

import subprocess
import sys
from pathlib import Path

import psutil

ENDLESS = Path(__file__).with_name("left_running.py")


def test_brokers_and_agents_end_with_a_run_that_is_killed() -> None:
    command = [sys.executable, "-m", "pytest", "--capture=no", str(ENDLESS)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as run:
        assert run.stdout is not None
        assert any("all run" in line for line in run.stdout)
        started = psutil.Process(run.pid).children(recursive=True)
        names = {process.name() for process in started}
        run.kill()
        _, left = psutil.wait_procs(started, timeout=60)
    assert names >= {"beam.smp", "epmd", "redis-server", "agent-template", "alpha"}
    assert left == []
