"""Memory limits of processes that run already."""

import os
import resource
import subprocess
from collections.abc import Iterator

import pytest

from agent.run.rlimits import limit_memory

MIB = 2**20
NOBODY = 65_534


@pytest.fixture
def process() -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen(["sleep", "600"]) as process:
        yield process
        process.kill()


def data_limit(process: subprocess.Popen[bytes]) -> tuple[int, int]:
    return resource.prlimit(process.pid, resource.RLIMIT_DATA)


def test_a_limit_is_set_and_taken_back(process: subprocess.Popen[bytes]) -> None:
    before = data_limit(process)
    limit_memory([process.pid], 64 * MIB)
    assert data_limit(process) == (64 * MIB, before[1])
    limit_memory([process.pid], None)
    assert data_limit(process) == before


def test_where_the_hard_limit_is_lower_that_one_holds(process: subprocess.Popen[bytes]) -> None:
    resource.prlimit(process.pid, resource.RLIMIT_DATA, (16 * MIB, 32 * MIB))
    limit_memory([process.pid], 64 * MIB)
    assert data_limit(process) == (32 * MIB, 32 * MIB)


def test_who_is_gone_is_passed_over(process: subprocess.Popen[bytes]) -> None:
    gone = subprocess.Popen(["true"])
    gone.wait()
    limit_memory([gone.pid, process.pid], 64 * MIB)
    assert data_limit(process)[0] == 64 * MIB


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, which can become another user")
def test_who_has_become_another_user_is_passed_over(process: subprocess.Popen[bytes]) -> None:
    child = os.fork()
    if not child:
        status = 1
        try:
            os.setresuid(NOBODY, NOBODY, NOBODY)
            limit_memory([process.pid], 64 * MIB)
            status = 0
        finally:
            os._exit(status)
    assert os.waitpid(child, 0)[1] == 0
    assert data_limit(process)[0] != 64 * MIB
