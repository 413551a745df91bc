"""Many signals that come at once, to a process that `faulthandler` has given a stack for them: it has no room for so many."""

import signal
import subprocess
import sys

import pytest

from tests.adapters.agents import ROOT

ALL_AT_ONCE = """
import faulthandler, os, signal
from agent.guest.kernel import SHOW_STACKS, leave_signal_stack
faulthandler.{}
{}
come = []
numbers = [number for number in range(signal.SIGRTMIN + 6, signal.SIGRTMAX)]
for number in numbers:
    signal.signal(number, lambda number, _: come.append(number))
signal.pthread_sigmask(signal.SIG_BLOCK, numbers)
for number in numbers:
    os.kill(os.getpid(), number)
signal.pthread_sigmask(signal.SIG_UNBLOCK, numbers)
assert sorted(come) == numbers
"""


@pytest.mark.parametrize("asked", ["enable()", "register(SHOW_STACKS, file=2)"])
@pytest.mark.parametrize(("left", "status"), [("leave_signal_stack()", 0), ("", -signal.SIGSEGV)])
def test_signals_that_come_at_once_end_no_process(asked: str, left: str, status: int) -> None:
    done = subprocess.run([sys.executable, "-c", ALL_AT_ONCE.format(asked, left)], cwd=ROOT, check=False)
    assert done.returncode == status
