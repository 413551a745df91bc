"""The mend of Celery's prefork pool, on a real pool of processes."""

import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.celery

START = """
import os, signal, sys, time
import celery
from celery.concurrency.prefork import TaskPool as Stock
from celery_delivery.worker.pool import TaskPool
from kombu.asynchronous import Hub, set_event_loop

hub = Hub()
set_event_loop(hub)
app = celery.Celery(broker="memory://")
pool = {"stock": Stock, "mended": TaskPool}[sys.argv[1]](1, app=app, initargs=(app, "host"), threads=False)
pool.start()
while not pool.did_start_ok():
    time.sleep(0.01)
pool.register_with_event_loop(hub)
loop = hub.create_loop()
patience = float(sys.argv[2])
results = []

def turn():
    hub.call_later(0.1, lambda: None)
    next(loop)

def turn_until(condition):
    deadline = time.monotonic() + patience
    while not condition() and time.monotonic() < deadline:
        turn()

def give(*task):
    job = pool.apply_async(*task, callback=results.append)
    while job._write_to is None or pool._pool._active_writers:
        turn()
    return job

def kill(child):
    os.kill(child.pid, signal.SIGKILL)
    while child._is_alive():
        time.sleep(0.01)

def stop_reading():
    turn_until(give(pow, (2, 3)).ready)
    (child,) = pool._pool._pool
    os.kill(child.pid, signal.SIGSTOP)
    return child

def is_known(job):
    return job._job in pool._pool._cache

def end(*words):
    print(*words, flush=True)
    pool.terminate()
    os._exit(0)
"""

# A job is written to a child; before its start is read, the pool is flushed, as when the connection is lost.
FLUSHED = """
job = give(pow, (2, 3))
assert not job._accepted
pool.flush()
turn_until(lambda: results)
end(results)
"""

# The child that has a job ends without having read it, and the pool is flushed before it has seen that, or after. The broker
# delivers the task again, as a new one. A child that had the pipe of the first would read what was forgotten first.
ENDED = """
seen, folder = sys.argv[3:]
stop_reading()
job = give(os.mkdir, (folder,))
kill(job._write_to)
if seen == "after":
    pool._pool.maintain_pool()
    assert job in pool._pool.outbound_buffer
pool.flush()
was_known = is_known(job)
turn_until(give(pow, (2, 3)).ready)
end(was_known, os.path.exists(folder))
"""

# A child has run a job and told so, and ends; then the pool is flushed. A pipe has 3,000 bytes as a whole or not at all.
TOLD = """
import fcntl, operator, struct, termios
job = give(operator.mul, ("x", 3000))
told = job._write_to.outq._reader.fileno()
while struct.unpack("i", fcntl.ioctl(told, termios.FIONREAD, bytes(4)))[0] < 3000:
    time.sleep(0.01)
kill(job._write_to)
pool.flush()
end(len(results), is_known(job))
"""

# The pool is flushed while it has written a part of one job, and another waits. The child reads on meanwhile.
WAITING = """
import threading
child = stop_reading()
large = pool.apply_async(len, ("x" * 300_000,))
while large._write_to is None:
    turn()
waiting = pool.apply_async(pow, (2, 3))
assert pool._pool._active_writers and waiting in pool._pool.outbound_buffer
threading.Timer(0.5, os.kill, (child.pid, signal.SIGCONT)).start()
pool.flush()
end(is_known(waiting), is_known(large))
"""

# A child closes its files, as the kernel does for one that ends, and has ended a while later. The pool's look every 5 s is off.
ENDING = """
def close_and_exit():
    os.closerange(3, 1024)
    time.sleep(0.3)
    os._exit(3)

hub.timer.clear()
ended = []
pool.apply_async(close_and_exit, error_callback=ended.append)
turn_until(lambda: ended)
end(len(ended))
"""

# What can't be pickled is given to the pool, after something that can.
UNSENDABLE = """
pool.apply_async(pow, (2, 3))
try:
    pool.apply_async(pow, (lambda: None, 3))
except Exception:
    print(len(pool._pool._cache), flush=True)
os.kill(pool._pool._pool[0].pid, signal.SIGKILL)
os._exit(0)
"""

NEVER = "3"  # seconds of waiting for a result that is not to come: that can't be shown by anything but time
PATIENCE = "60"  # for one that is to come


def printed(script: str, *more: str, pool: str = "mended", patience: str = PATIENCE) -> str:
    start = START.replace("threads=False", "threads=False, putlocks=False")
    command = [sys.executable, "-c", start + script, pool, patience, *more]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_what_a_child_has_is_not_forgotten_when_the_pool_is_flushed() -> None:
    assert printed(FLUSHED) == "[8]"


@pytest.mark.parametrize("seen", ["before", "after"])
def test_what_a_child_had_that_has_ended_is_forgotten_and_never_run(seen: str, tmp_path: Path) -> None:
    assert printed(ENDED, seen, str(tmp_path / "run")) == "False False"


def test_what_a_child_told_before_it_ended_is_read_when_the_pool_is_flushed() -> None:
    assert printed(TOLD) == "1 False"


def test_what_waits_beside_a_half_written_task_is_forgotten_when_the_pool_is_flushed() -> None:
    assert printed(WAITING) == "False True"


def test_the_stock_pool_still_forgets_it() -> None:
    # Once this fails, celery_delivery/worker/pool.py can go.
    assert printed(FLUSHED, pool="stock", patience=NEVER) == "[]"


def test_a_release_that_was_not_measured_keeps_its_own_pool_and_says_so() -> None:
    code = (START + FLUSHED).replace(
        "hub = Hub()",
        "import logging, celery_delivery.internals.mend as i\nlogging.basicConfig()\n"
        "i.MEASURED['billiard'] = ((1, 0), (1, 1))\nhub = Hub()",
        1,
    )
    done = subprocess.run(
        [sys.executable, "-c", code, "mended", NEVER], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.stdout.strip() == "[]"
    assert done.stderr.count("The mend 'patient pool' is off") == 1


@pytest.mark.parametrize(("given", "limit"), [("", 1500.0), ("timeout=7.0, ", 7.0)])
def test_a_task_has_a_time_limit_unless_it_is_given_another(given: str, limit: float) -> None:
    code = (
        (START + FLUSHED)
        .replace("threads=False", f"{given}threads=False")
        .replace("pool.flush()", "print(job._timeout)\npool.flush()")
    )
    done = subprocess.run(
        [sys.executable, "-c", code, "mended", PATIENCE], capture_output=True, text=True, timeout=60, check=True
    )
    assert float(done.stdout.split()[0]) == limit


@pytest.mark.parametrize(("pool", "kept"), [("mended", "1"), ("stock", "2")])
def test_a_task_that_can_t_be_written_to_a_child_is_forgotten_and_no_other(pool: str, kept: str) -> None:
    assert printed(UNSENDABLE, pool=pool) == kept


@pytest.mark.parametrize(("pool", "patience", "ended"), [("stock", NEVER, "0"), ("mended", PATIENCE, "1")])
def test_a_child_that_has_not_quite_ended_is_looked_for_again_soon(pool: str, patience: str, ended: str) -> None:
    assert printed(ENDING, pool=pool, patience=patience) == ended
