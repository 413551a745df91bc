"""Whether a pool uses CPU is seen, in real processes and threads."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from types import SimpleNamespace

from agent.guest.work.standstill import Standstill, usage
from tests.waiting import wait_until

WAITS = "import sys; print('ready', flush=True); sys.stdin.read()"
BURNS = "print('ready', flush=True)\nwhile True: pass"
STARTS = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {BURNS!r}])"


def test_a_pool_stands_still_while_its_tasks_and_their_cpu_are_the_same() -> None:
    standstill = Standstill()
    assert standstill.look("a", 1.0) == 0.0
    assert standstill.look("a", 6.0) == 1.0
    assert standstill.look("a", 11.0) == 1.0
    assert standstill.look("b", 16.0) == 0.0
    assert standstill.look(None, 21.0) == 0.0
    assert standstill.look(None, 26.0) == 0.0
    assert standstill.look("b", 31.0) == 0.0


@contextmanager
def started(code: str) -> Iterator[subprocess.Popen[bytes]]:
    pipe = subprocess.PIPE
    with subprocess.Popen([sys.executable, "-c", code], stdin=pipe, stdout=pipe) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == b"ready\n"
            yield process
        finally:
            process.kill()


def of(*processes: subprocess.Popen[bytes]) -> SimpleNamespace:
    """Return what is looked at of a pool of processes."""
    return SimpleNamespace(_pool=SimpleNamespace(_pool=list(processes)))


def test_processes_that_wait_use_none_and_one_that_does_not_shows() -> None:
    with started(WAITS) as waits, started(BURNS) as burns:
        wait_until(lambda: _stands(of(waits)), 30, "it waits")
        before = usage(of(waits, burns))
        wait_until(lambda: usage(of(waits, burns)) != before, 30, "the other one works")


def test_what_a_task_has_started_counts() -> None:
    with subprocess.Popen([sys.executable, "-c", STARTS], stdout=subprocess.PIPE) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == b"ready\n"
            before = usage(of(process))
            wait_until(lambda: usage(of(process)) != before, 30, "its program works")
        finally:
            subprocess.run(["kill", "-9", *_children(process.pid)], check=False)
            process.kill()


def test_of_threads_only_those_of_the_pool_count() -> None:
    gate, over = threading.Event(), threading.Event()
    with ThreadPoolExecutor(2) as executor:
        waiting = [executor.submit(gate.wait) for _ in range(2)]
        pool = SimpleNamespace(executor=executor)
        wait_until(lambda: _stands(pool), 30, "both wait")
        other = threading.Thread(target=lambda: [None for _ in iter(over.is_set, True)])
        other.start()
        before = usage(pool)
        time.sleep(0.1)
        assert usage(pool) == before
        over.set()
        other.join()
        gate.set()
    assert all(each.result() for each in waiting)


def test_a_pool_of_another_kind_can_not_tell() -> None:
    assert usage(SimpleNamespace()) is None


def _stands(pool: SimpleNamespace) -> bool:
    before = usage(pool)
    time.sleep(0.1)
    return usage(pool) == before


def _children(pid: int) -> list[str]:
    with open(f"/proc/{pid}/task/{pid}/children") as file:
        return file.read().split()
