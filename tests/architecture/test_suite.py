"""What the suite promises of itself, whatever its tests do."""

import subprocess
import sys
from pathlib import Path

import pytest

HANGING = """
import threading, pytest

def wait_here():
    threading.Event().wait()

def run_forever():
    threading.Event().wait()

@pytest.mark.timeout(1)
def test_hangs():
    threading.Thread(target=run_forever, daemon=True).start()
    wait_here()
"""


def test_each_test_has_a_time_limit(request: pytest.FixtureRequest) -> None:
    assert [item.nodeid for item in request.session.items if item.get_closest_marker("timeout") is None] == []


def test_a_test_that_hangs_fails_with_the_stacks_of_all_threads(tmp_path: Path) -> None:
    (tmp_path / "test_hanging.py").write_text(HANGING)
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "--rootdir", str(tmp_path), str(tmp_path)]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == pytest.ExitCode.TESTS_FAILED
    assert "in run_forever" in done.stdout + done.stderr
    assert "wait_here()" in done.stdout
