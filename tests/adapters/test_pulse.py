"""What a worker writes of itself while it is interrupted: by a signal's handler, as Celery ends tasks in one, or by threads."""

import os
import subprocess
import sys

from agent.guest.scoreboard import Scoreboard, create

# A request whose id is read while the account writes, which is where the signal comes. Its handler ends the task.
INTERRUPTED = """
import os, signal, socket, sys, time
from celery.worker import state
from agent.guest.scoreboard import Scoreboard
from agent.guest.work.ends import FAILED
from agent.guest.work.pulse import Account

class Request:
    name = "send"
    accepted = time_start = 1.0
    interrupted = False

    @property
    def id(self):
        if not self.interrupted:
            self.interrupted = True
            os.kill(os.getpid(), signal.SIGQUIT)
        return "id-1"

def end_tasks(number, frame):
    state.active_requests.discard(request)
    account.ended(FAILED)

account = Account(socket.socketpair()[0], Scoreboard(int(sys.argv[1])))
request = Request()
state.active_requests.add(request)
signal.signal(signal.SIGQUIT, end_tasks)
account.write()
"""

THREADS = """
import socket, sys, threading
from celery.worker import state
from agent.guest.scoreboard import Scoreboard
from agent.guest.work.ends import FAILED
from agent.guest.work.pulse import Account

account = Account(socket.socketpair()[0], Scoreboard(int(sys.argv[1])))

def end_tasks():
    for _ in range(200):
        account.ended(FAILED)

threads = [threading.Thread(target=end_tasks) for _ in range(8)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
"""


def run(code: str, board: int) -> None:
    subprocess.run([sys.executable, "-c", code, str(board)], pass_fds=[board], check=True, timeout=30)


def test_a_signal_whose_handler_ends_a_task_while_another_is_written_is_not_waited_for() -> None:
    board = create()
    run(INTERRUPTED, board)
    pulse = Scoreboard(board).read()
    os.close(board)
    assert pulse is not None
    assert (pulse.active_count, pulse.failed) == (0, 1)  # the handler's word is the last one


def test_the_last_word_of_threads_that_write_at_once_is_there() -> None:
    board = create()
    run(THREADS, board)
    pulse = Scoreboard(board).read()
    os.close(board)
    assert pulse is not None
    assert pulse.failed == 8 * 200


# Celery notes the start by the wall clock too, which somebody sets meanwhile: the base class stands for that.
CLOCK_STEP = """
import socket, sys
from celery.worker import state
from agent.guest.scoreboard import Scoreboard
from agent.guest.work.ends import accounted_request
from agent.guest.work.pulse import Account

class Task:
    time_limit = None

class Request:
    id, name, task, time_limits, delivery_info = "id-1", "send", Task, (None, None), {"redelivered": True}

    def on_accepted(self, pid, time_accepted):
        self.time_start = 12345.0
        state.active_requests.add(self)

class Timer:
    def call_after(self, seconds, do):
        pass

account = Account(socket.socketpair()[0], Scoreboard(int(sys.argv[1])))
account.consuming((), Timer(), 3.0)
request = accounted_request(Request, account)()
request.on_accepted(1, 42.5)
"""


def test_a_task_is_as_old_as_the_monotonic_clock_says() -> None:
    board = create()
    run(CLOCK_STEP, board)
    pulse = Scoreboard(board).read()
    os.close(board)
    assert pulse is not None
    assert [(task.started, task.again) for task in pulse.active] == [(42.5, True)]
