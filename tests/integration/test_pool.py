"""The mend of Celery's prefork pool, on a real pool of processes."""

import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.celery

START = """
import os, sys, time
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
"""

# A job is written to a child; before its start is read, the pool is flushed, as when the connection is lost.
FLUSHED = """
results = []
job = pool.apply_async(pow, (2, 3), callback=results.append)
while job._write_to is None or pool._pool._active_writers:
    next(loop)
assert not job._accepted
pool.flush()
deadline = time.monotonic() + float(sys.argv[2])
while not results and time.monotonic() < deadline:
    hub.call_later(0.1, lambda: None)
    next(loop)
print(results)
sys.stdout.flush()
pool.terminate()
os._exit(0)
"""

# The child that has a job ends without having read it, and the pool is flushed before it has seen that, or after. The broker
# delivers the task again, as a new one. A child that had the pipe of the first would read what was forgotten first.
ENDED = """
first = pool.apply_async(pow, (2, 3))
while not first.ready():
    next(loop)
pid = pool._pool._pool[0].pid
os.kill(pid, 19)
job = pool.apply_async(os.mkdir, (sys.argv[3],))
while job._write_to is None or pool._pool._active_writers:
    next(loop)
os.kill(pid, 9)
while job._write_to._is_alive():
    time.sleep(0.01)
if sys.argv[2] == "after":
    pool._pool.maintain_pool()
    assert job in pool._pool.outbound_buffer
pool.flush()
forgotten = job._job not in pool._pool._cache
again = pool.apply_async(pow, (2, 3))
while not again.ready():
    hub.call_later(0.1, lambda: None)
    next(loop)
print(forgotten, os.path.exists(sys.argv[3]))
sys.stdout.flush()
pool.terminate()
os._exit(0)
"""

# A child has run a job and told so, and ends; then the pool is flushed. What is 3,000 bytes long is in a pipe as a whole.
TOLD = """
import fcntl, operator, struct, termios
results = []
job = pool.apply_async(operator.mul, ("x", 3000), callback=results.append)
while job._write_to is None or pool._pool._active_writers:
    next(loop)
told = job._write_to.outq._reader.fileno()
while struct.unpack("i", fcntl.ioctl(told, termios.FIONREAD, bytes(4)))[0] < 3000:
    time.sleep(0.01)
os.kill(job._write_to.pid, 9)
while job._write_to._is_alive():
    time.sleep(0.01)
pool.flush()
print(len(results), job._job in pool._pool._cache)
sys.stdout.flush()
pool.terminate()
os._exit(0)
"""

# The pool is flushed while it has written a part of one job, and another waits. The child reads on meanwhile.
WAITING = """
import threading
first = pool.apply_async(pow, (2, 3))
while not first.ready():
    next(loop)
pid = pool._pool._pool[0].pid
os.kill(pid, 19)
large = pool.apply_async(len, ("x" * 300_000,))
while large._write_to is None:
    next(loop)
waiting = pool.apply_async(pow, (2, 3))
assert pool._pool._active_writers and waiting in pool._pool.outbound_buffer
threading.Timer(0.5, os.kill, (pid, 18)).start()
pool.flush()
print(waiting._job in pool._pool._cache, large._job in pool._pool._cache)
sys.stdout.flush()
pool.terminate()
os._exit(0)
"""

# A child closes its files, as the kernel does for one that ends, and has ended a while later. The pool's look every 5 s is off.
ENDING = """
def end():
    os.closerange(3, 1024)
    time.sleep(0.3)
    os._exit(3)

hub.timer.clear()
ended = []
pool.apply_async(end, error_callback=ended.append)
deadline = time.monotonic() + float(sys.argv[2])
while not ended and time.monotonic() < deadline:
    hub.call_later(0.1, lambda: None)
    next(loop)
print(len(ended))
sys.stdout.flush()
pool.terminate()
os._exit(0)
"""


NEVER = "3"  # seconds of waiting for a result that is not to come: that can't be shown by anything but time
PATIENCE = "60"  # for one that is to come


# What can't be pickled is given to the pool, after something that can.
UNSENDABLE = """
pool.apply_async(pow, (2, 3))
try:
    pool.apply_async(pow, (lambda: None, 3))
except Exception:
    print(len(pool._pool._cache))
sys.stdout.flush()
os.kill(pool._pool._pool[0].pid, 9)
os._exit(0)
"""


def results_after_a_flush(pool: str, seconds: str) -> str:
    return printed(FLUSHED, pool, seconds)


def printed(script: str, *arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", START.replace("threads=False", "threads=False, putlocks=False") + script, *arguments],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_what_a_child_has_is_not_forgotten_when_the_pool_is_flushed() -> None:
    assert results_after_a_flush("mended", PATIENCE) == "[8]"


@pytest.mark.parametrize("seen", ["before", "after"])
def test_what_a_child_had_that_has_ended_is_forgotten_and_never_run(seen: str, tmp_path: Path) -> None:
    assert printed(ENDED, "mended", seen, str(tmp_path / "run")) == "True False"


def test_what_a_child_told_before_it_ended_is_read_when_the_pool_is_flushed() -> None:
    assert printed(TOLD, "mended") == "1 False"


def test_what_waits_beside_a_half_written_task_is_forgotten_when_the_pool_is_flushed() -> None:
    assert printed(WAITING, "mended") == "False True"


def test_the_stock_pool_still_forgets_it() -> None:
    # Once this fails, celery_delivery/worker/pool.py can go.
    assert results_after_a_flush("stock", NEVER) == "[]"


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
    assert printed(UNSENDABLE, pool) == kept


@pytest.mark.parametrize(("kind", "patience", "ended"), [("stock", NEVER, "0"), ("mended", PATIENCE, "1")])
def test_a_child_that_has_not_quite_ended_is_looked_for_again_soon(kind: str, patience: str, ended: str) -> None:
    assert printed(ENDING, kind, patience) == ended
