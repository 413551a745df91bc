"""Children that end, that are not ours, and that may not be signalled."""

import os
import resource
import signal
import subprocess
import sys
from collections.abc import Iterator

import pytest

from agent.run.children import Children
from agent.run.links import raise_descriptor_limit
from tests.adapters.loop import Loop

NOBODY = 65_534


@pytest.fixture
def open_files() -> Iterator[tuple[int, int]]:
    """Return a soft limit of open files below the hard one, which holds for this process until a test raises it."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    limits = (before[1] - 1, before[1])
    resource.setrlimit(resource.RLIMIT_NOFILE, limits)
    yield limits
    resource.setrlimit(resource.RLIMIT_NOFILE, before)


def run(children: Children, code: str, exits: list[int], **descriptors: int) -> int:
    """Start a Python program whose exit status is appended to a list; return its pid."""
    given = {int(name.removeprefix("fd")): descriptor for name, descriptor in descriptors.items()}
    return children.spawn([sys.executable, "-c", code], os.environ, given, exits.append)


@pytest.mark.parametrize(
    ("code", "status"),
    [
        ("raise SystemExit(3)", 3),
        ("import os, signal; os.kill(os.getpid(), signal.SIGKILL)", -9),
        ("import os, resource; resource.setrlimit(resource.RLIMIT_CORE, (0, 0)); os.abort()", -6),
    ],
)
def test_an_exit_is_told_with_its_status(children: Children, loop: Loop, code: str, status: int) -> None:
    exits: list[int] = []
    pid = run(children, code, exits)
    loop.until(lambda: exits)
    assert exits == [status]
    assert pid not in children


def test_what_a_child_leaves_behind_goes_with_it(children: Children, loop: Loop) -> None:
    exits: list[int] = []
    read_end, write_end = os.pipe()
    run(children, "import subprocess; subprocess.Popen(['sleep', '600'], pass_fds=[3])", exits, fd3=write_end)
    os.close(write_end)
    loop.until(lambda: exits)
    assert os.read(read_end, 1) == b""  # nobody holds the other end any more
    os.close(read_end)


def test_a_fault_at_one_exit_keeps_no_other_from_being_told() -> None:
    children = Children()
    exits: list[int] = []

    def fail(status: int) -> None:
        raise ZeroDivisionError

    pids = [children.spawn(["/bin/true"], {}, {}, on_exit) for on_exit in (fail, exits.append)]
    for pid in pids:
        os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
    with pytest.raises(ZeroDivisionError):
        children.reap()
    assert exits == [0]


@pytest.mark.parametrize("pid", [0, -1, 1, 2**31 - 1, 2**64])
def test_a_number_that_is_no_child_is_not_adopted(children: Children, pid: int) -> None:
    assert not children.adopt(pid, lambda status: None)


def test_a_child_that_was_waited_for_is_not_adopted(children: Children) -> None:
    pid = os.posix_spawn("/bin/true", ["true"], {})
    os.waitpid(pid, 0)
    assert not children.adopt(pid, lambda status: None)


def test_a_child_that_has_ended_and_was_not_waited_for_is_adopted(children: Children, loop: Loop) -> None:
    exits: list[int] = []
    pid = os.posix_spawn("/bin/false", ["false"], {})
    os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
    assert children.adopt(pid, exits.append)
    loop.until(lambda: exits)
    assert exits == [1]


def test_a_child_of_somebody_else_is_not_taken_over(children: Children, loop: Loop) -> None:
    exits: list[int] = []
    strangers: list[int] = []
    pid = run(children, "import time; time.sleep(600)", exits)
    assert not children.adopt(pid, strangers.append)
    children.kill(pid)
    loop.until(lambda: exits)
    assert not strangers


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, which can become another user")
@pytest.mark.parametrize("send", ["kill(child)", "signal(child, signal.SIGTERM)"])
def test_a_child_that_may_not_be_signalled_ends_nobody(send: str) -> None:
    # As when a worker's program is setuid: here the registry is the one that becomes another user.
    code = f"""
import os, signal, time
from agent.run.children import Children
child = os.fork()
if not child:
    os.setsid()
    os.close(1)
    time.sleep(600)
os.setresuid({NOBODY}, {NOBODY}, {NOBODY})
children = Children()
assert children.adopt(child, print)
children.{send}
print(child)
"""
    done = subprocess.run([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, check=True)
    os.kill(int(done.stdout), signal.SIGKILL)


def test_children_may_open_as_many_files_as_the_agent_could_when_it_began(
    open_files: tuple[int, int], children: Children, loop: Loop
) -> None:
    raise_descriptor_limit()
    exits: list[int] = []
    read_end, write_end = os.pipe()
    run(children, "import resource; print(*resource.getrlimit(resource.RLIMIT_NOFILE))", exits, fd1=write_end)
    os.close(write_end)
    loop.until(lambda: exits)
    with open(read_end) as output:
        assert output.read().split() == [str(limit) for limit in open_files]
    assert resource.getrlimit(resource.RLIMIT_NOFILE) == (open_files[1], open_files[1])
