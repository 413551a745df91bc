"""A fork of which nobody is told: that of the process between template and worker, whose own fork tells of the worker's."""

import subprocess
import sys

PROGRAM = """
import os
from agent.guest.kernel import fork_without_hooks

def say(what):
    return lambda: os.write(1, f"{what}\\n".encode())

os.register_at_fork(before=say("before"), after_in_parent=say("parent"), after_in_child=say("child"))
between = fork_without_hooks()
if between == 0:
    pid = os.fork()
    if pid:
        os.waitpid(pid, 0)
    os._exit(7 if pid else 0)
_, status = os.waitpid(between, 0)
say(os.waitstatus_to_exitcode(status))()
"""
REFUSED = """
import errno
from agent.guest import kernel

def refuse():
    kernel.ctypes.set_errno(errno.EAGAIN)
    return -1

kernel._fork = refuse
try:
    kernel.fork_without_hooks()
except OSError as error:
    print(error.errno == errno.EAGAIN, error.strerror)
"""


def _run(program: str) -> list[str]:
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True)
    return done.stdout.splitlines()


def test_hooks_are_called_once_for_two_forks() -> None:
    lines = _run(PROGRAM)
    assert sorted(lines) == ["7", "before", "child", "parent"]


def test_a_fork_that_is_refused_is_an_error() -> None:
    assert _run(REFUSED) == ["True Resource temporarily unavailable"]
