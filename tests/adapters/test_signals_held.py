"""Signals that are held back while a process is forked: none is lost, and none stays blocked."""

from __future__ import annotations

import subprocess
import sys

PROGRAM = """
import os, signal, threading
from agent.guest.kernel import signals_held

def handler(number, frame):
    raise RuntimeError("told")

hold, release = signals_held()
signal.signal(signal.SIGUSR1, handler)
os.register_at_fork(before=lambda: {before}, after_in_child=release)
os.register_at_fork(before=hold, after_in_parent=release)

def fork():
    pid = os.fork()
    if pid == 0:
        os._exit(len(signal.pthread_sigmask(signal.SIG_BLOCK, [])))
    return os.waitpid(pid, 0)[1]

{act}
print("blocked:", len(signal.pthread_sigmask(signal.SIG_BLOCK, [])))
"""


def told(act: str, before: str = "None") -> str:
    """Return what a process of its own prints."""
    program = PROGRAM.format(act=act, before=before)
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stderr == ""
    return done.stdout


def test_what_a_handler_raises_is_raised_where_the_fork_was_asked_for() -> None:
    act = "try:\n    fork()\nexcept RuntimeError as error:\n    print(error)"
    assert told(act, before="os.kill(os.getpid(), signal.SIGUSR1)") == "told\nblocked: 0\n"


def test_threads_that_fork_at_once_leave_no_signal_blocked() -> None:
    act = """
ended = []
threads = [threading.Thread(target=lambda: ended.extend([fork(), fork()])) for _ in range(8)]
[each.start() for each in threads], [each.join() for each in threads]
print(ended == [0] * 16)"""
    assert told(act) == "True\nblocked: 0\n"


def test_a_mask_of_one_s_own_is_kept() -> None:
    act = "signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR2])\nprint(os.waitstatus_to_exitcode(fork()))"
    assert told(act) == "1\nblocked: 1\n"
