"""What tasks start: processes of multiprocessing and programs, on each pool as in a program of one's own."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests import administration
from tests.node import Node, is_alive
from tests.truth import assert_well
from tests.waiting import wait_until

STARTING = """
import json, multiprocessing, os, signal, subprocess, sys, time
from concurrent.futures import ProcessPoolExecutor
import celery
from celery.signals import worker_process_init

prepared = []

@worker_process_init.connect
def prepare(**_):
    prepared.append(os.getpid())

def square(number):
    return number * number

ENDS = {"exit": sys.exit, "exit 3": lambda: sys.exit(3), "text": lambda: sys.exit("so"), "return": str, "raise": lambda: 1 / 0}

class Alpha(celery.Task):
    name = "alpha"

    def run(self, what, *arguments):
        return getattr(self, what)(*arguments)

    def terminated_process(self):
        process = multiprocessing.Process(target=time.sleep, args=(60,))
        process.start()
        process.terminate()
        process.join(20)
        return process.exitcode

    def pool(self):
        with multiprocessing.Pool(2) as pool:  # which terminates its processes at the end, and waits for them
            return pool.map(square, [1, 2, 3])

    def executor(self):
        with ProcessPoolExecutor(2) as executor:
            return list(executor.map(square, [1, 2, 3]))

    def spawned(self):
        with multiprocessing.get_context("spawn").Pool(1) as pool:
            return pool.map(abs, [-4])

    def manager(self):
        with multiprocessing.Manager() as manager:
            return list(manager.list([1]))

    def forked(self, end):
        pid = os.fork()
        if pid == 0:
            return ENDS[end]()
        return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])

    def ignored_signals(self):
        status = subprocess.run(["cat", "/proc/self/status"], capture_output=True, text=True).stdout
        ignored = next(int(line.split()[1], 16) for line in status.splitlines() if line.startswith("SigIgn:"))
        # Without the C library's own: what is started by posix_spawn, as by make, ignores 32.
        return [int(number) for number in signal.valid_signals() if ignored >> number - 1 & 1]

    def preparations(self):
        return len(prepared)

    def programs(self, file):
        plain = subprocess.Popen(["sleep", "600"])
        of_a_shell = subprocess.Popen("trap '' TERM; sleep 600 & echo $!; wait", shell=True, stdout=subprocess.PIPE)
        in_a_session = subprocess.Popen(["sleep", "600"], start_new_session=True)
        pids = [os.getpid(), plain.pid, of_a_shell.pid, int(of_a_shell.stdout.readline()), in_a_session.pid]
        if not os.path.exists(file):  # what runs it again has done enough
            with open(f"{file}.new", "w") as notes:
                json.dump(pids, notes)
            os.rename(f"{file}.new", file)
            while True:
                try:
                    time.sleep(600)
                except BaseException:  # SystemExit, which SIGTERM is in a process of a pool
                    pass
"""

RIGHT = {
    "terminated_process": -15,
    "pool": [1, 4, 9],
    "executor": [1, 4, 9],
    "spawned": [4],
    "manager": [1],
    "ignored_signals": [],
    "preparations": 1,
}


def run(node: Node, pool: str, **settings: str) -> None:
    (node.code / "greek.py").write_text(STARTING)
    node.configure("alpha", DEFAULTS__POOL=pool, **settings)
    node.start()
    node.wait_until_consuming()


@pytest.mark.parametrize("pool", ["prefork", "threads", "solo"])
def test_a_task_starts_processes_and_programs_as_any_program_does(node: Node, pool: str) -> None:
    run(node, pool)
    calls = f"{{what: worker.delay(what) for what in {list(RIGHT)!r}}}"
    code = f"print(json.dumps({{what: result.get(timeout=60) for what, result in {calls}.items()}}))"
    assert node.produce(code, "alpha") == RIGHT


FORKED = {"exit": 0, "exit 3": 3, "text": 1, "return": 0, "raise": 1}


@pytest.mark.parametrize("pool", ["prefork", "threads", "solo"])
def test_what_a_task_forks_ends_where_it_leaves_the_task_and_is_no_second_worker(node: Node, pool: str) -> None:
    run(node, pool)
    calls = f"{{end: worker.delay('forked', end) for end in {list(FORKED)!r}}}"
    code = f"print(json.dumps({{end: result.get(timeout=20) for end, result in {calls}.items()}}))"
    assert node.produce(code, "alpha") == FORKED
    queue = node.queue("alpha")
    assert (queue["succeeded"], queue["failed"], queue["active_count"]) == (len(FORKED), 0, 0)
    assert_well(node)


@pytest.mark.parametrize("by", ["its time limit", "a lost connection"])
def test_a_task_that_is_to_end_does_with_the_programs_it_has_started(node: Node, tmp_path: Path, by: str) -> None:
    run(node, "prefork", DEFAULTS__TIME_LIMIT="4" if by == "its time limit" else "600")
    file = tmp_path / "pids"
    node.send_and_leave("alpha", "programs", str(file))
    wait_until(file.exists, 60, "the task has started programs")
    pids = json.loads(file.read_text())
    if by == "a lost connection":
        assert all(map(is_alive, pids))
        administration.close_all_connections(node.broker, node.vhost)
    wait_until(lambda: not any(map(is_alive, pids)), 60, "it and all that it started has ended")
