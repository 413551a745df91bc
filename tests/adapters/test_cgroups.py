"""Cgroups that can't be made, or that somebody else removes; in the kernel's own cgroup v2, where this process may make one."""

import os
import select
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from selectors import BaseSelector

import pytest

from agent.decide.events import OutOfMemory
from agent.decide.limits import CGROUP, NOTHING, Enforcement
from agent.guest.spec import Limits
from agent.run.cgroups import Cgroups, Group, own_group
from agent.run.timers import Timers
from tests.adapters.loop import Loop

# The memory controller is not enabled there: its files are missing, and none can be made.
ENFORCEMENT = Enforcement(CGROUP, CGROUP, NOTHING, NOTHING, None)


@pytest.fixture
def top() -> Iterator[Path]:
    """A folder below this process's own group."""
    own = own_group(Path("/proc/self/cgroup").read_text(), Path("/proc/self/mountinfo").read_text())
    if own is None or not os.access(own, os.W_OK):
        pytest.skip("needs a cgroup v2 that this user may divide")
    top = own / f"celery-agent-test-{os.getpid()}"
    top.mkdir()
    yield top
    for each in top.iterdir():
        if each.is_dir():
            each.rmdir()
    top.rmdir()


@pytest.fixture
def kills() -> list[tuple[str, int, OutOfMemory]]:
    return []


@pytest.fixture
def cgroups(
    selector: BaseSelector, timers: Timers, top: Path, kills: list[tuple[str, int, OutOfMemory]]
) -> Iterator[Cgroups]:
    cgroups = Cgroups(selector, timers, lambda *kill: kills.append(kill))
    cgroups._top = top
    yield cgroups
    cgroups._watch.close()


def folders(top: Path) -> list[str]:
    return [each.name for each in top.iterdir() if each.is_dir()]


def test_a_group_is_made_entered_and_removed(cgroups: Cgroups, top: Path) -> None:
    entry = cgroups.open("emails", 1, Limits())
    assert entry is not None
    os.close(entry)
    assert folders(top) == ["emails.1"]
    cgroups.close("emails", 1)
    assert folders(top) == []


def test_a_group_whose_limit_can_not_be_written_is_not_left_behind(cgroups: Cgroups, top: Path) -> None:
    before = os.listdir("/proc/self/fd")
    cgroups.enforcement = ENFORCEMENT
    with pytest.raises(OSError, match=r"memory\.high"):
        cgroups.open("emails", 1, Limits(memory_max=1))
    assert folders(top) == []
    assert os.listdir("/proc/self/fd") == before


def test_a_group_that_somebody_removes_is_looked_at_once_more_and_then_no_more(
    cgroups: Cgroups, top: Path, loop: Loop, selector: BaseSelector
) -> None:
    path = top / "emails.1"
    path.mkdir()
    events = os.open(
        path / "cgroup.events", os.O_RDONLY
    )  # of the kind of memory.events, and there without a controller
    cgroups._groups["emails", 1] = Group(path, Limits(), events)
    cgroups._watch.register(events, select.EPOLLPRI)
    path.rmdir()
    loop.turn()
    assert not selector.select(0)
    cgroups.close("emails", 1)


def test_what_a_former_agent_left_is_removed_although_one_of_it_is_gone_already(cgroups: Cgroups, top: Path) -> None:
    (top / "emails.1").mkdir()
    cgroups.enforcement = ENFORCEMENT
    cgroups._leaving = {top / "emails.1", top / "letters.1"}
    cgroups._kill_and_remove()
    assert folders(top) == []
    assert not cgroups._leaving


CGROUP_FILE = "0::/system.slice/a.service"


@pytest.mark.parametrize(
    "line",
    [
        "",
        "36 35 98:0",
        "36 35 98:0 / /mnt rw",
        "36 35 98:0 / /mnt rw - ",
        "36 35 98:0 / /m\udcffnt rw - ext4 /dev/sda rw",
        "36 35 98:0 / /m\u2028nt\x85\xa0x rw - ext4 /dev/sda rw",
    ],
)
def test_a_mount_of_any_name_and_a_line_of_any_form_are_passed_over(line: str) -> None:
    found = "25 24 0:22 / /sys/fs/cgroup rw,nosuid - cgroup2 cgroup2 rw"
    assert own_group(CGROUP_FILE, f"{line}\n{found}\n") == Path("/sys/fs/cgroup/system.slice/a.service")


def test_a_group_below_a_mount_of_any_name_is_found() -> None:
    found = "25 24 0:22 / /m\udcff\u2028\\040x rw - cgroup2 cgroup2 rw"
    assert own_group(CGROUP_FILE, found) == Path("/m\udcff\u2028 x/system.slice/a.service")


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, which can mount")
def test_a_mount_whose_name_is_not_utf_8_does_not_keep_the_agent_from_looking(tmp_path: Path) -> None:
    folder = os.fsencode(tmp_path) + b"/\xff"
    os.mkdir(folder)
    look = "from agent.run.cgroups import NotDelegated, delegated\ntry: delegated()\nexcept NotDelegated: pass"
    subprocess.run(
        [
            "unshare",
            "--mount",
            "sh",
            "-c",
            'mount -t tmpfs none "$1" && exec "$2" -c "$3"',
            "sh",
            folder,
            sys.executable,
            look,
        ],
        check=True,
        timeout=30,
    )
