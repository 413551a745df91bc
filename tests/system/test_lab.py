"""The test hosts themselves: real ones, apart from this machine, and gone without a trace."""

import os
import signal
import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest

from tests.node import ROOT, is_alive
from tests.system.host import Host
from tests.system.images import image
from tests.system.lab import CONTROL_NODE, Lab
from tests.waiting import wait_until

_KILLED = """
import pathlib, sys
from tests.system.images import image
from tests.system.lab import Lab
lab = Lab(pathlib.Path(sys.argv[1]))
host = lab.add("host", image())
lab.start()
print(host.pid(), flush=True)
sys.stdin.read()
"""


@pytest.fixture(scope="module")
def one(lab: Lab) -> Host:
    return lab.add("one", image())


@pytest.fixture(scope="module")
def other(lab: Lab, one: Host) -> Host:
    host = lab.add("other", image())
    lab.start()
    return host


def test_a_host_has_systemd_as_its_first_process_and_no_failed_unit(one: Host, other: Host) -> None:
    for host in (one, other):
        assert host.run("cat", "/proc/1/comm") == "systemd\n"
        assert host.run("systemctl", "is-system-running") == "running\n", host.run("systemctl", "--failed")
        assert host.run("hostname") == f"{host.name}\n"
    assert one.run("cat", "/etc/machine-id") != other.run("cat", "/etc/machine-id")


def test_hosts_reach_one_another_and_the_control_node_and_nothing_else(lab: Lab, one: Host, other: Host) -> None:
    assert one.attempt("ping", "-c1", "-W5", other.name).returncode == 0
    assert one.attempt("ping", "-c1", "-W5", CONTROL_NODE).returncode == 0
    assert lab.ssh(other, "hostname") == "other\n"
    interfaces = [line.split()[0].partition("@")[0] for line in lab.run("ip", "-brief", "link").splitlines()]
    assert sorted(interfaces) == ["br0", "lo", "vb-one", "vb-other"]
    assert one.attempt("ping", "-c1", "-W1", "198.51.100.1").returncode == 1


def test_a_partition_is_silent_and_heals(lab: Lab, one: Host, other: Host) -> None:
    lab.partition(one, other)
    for host, peer in ((one, other), (other, one)):
        silent = host.attempt("ping", "-c1", "-W1", peer.name)
        assert (silent.returncode, silent.stderr) == (1, "")
    assert one.attempt("ping", "-c1", "-W5", CONTROL_NODE).returncode == 0
    lab.heal(one, other)
    assert one.attempt("ping", "-c1", "-W5", other.name).returncode == 0


def test_a_host_keeps_its_files_over_a_reboot_and_a_power_cut(one: Host, other: Host) -> None:
    one.write("/srv/kept", "yes")
    other_pid = other.pid()
    assert one.reboot() == "running"
    assert one.run("cat", "/srv/kept") == "yes"
    one.crash()
    assert not one.is_running
    one.write("/srv/kept", "written while it was off")
    one.start()
    assert one.wait_until_booted() == "running"
    assert one.run("cat", "/srv/kept") == "written while it was off"
    assert len(one.run("journalctl", "--list-boots", "--no-pager").splitlines()) == 1 + 3
    assert other.pid() == other_pid


def test_a_host_that_was_switched_off_ran_its_shutdown(one: Host, other: Host) -> None:
    one.stop()
    assert not one.is_running
    one.start()
    assert one.wait_until_booted() == "running"
    assert "Journal stopped" in one.run("journalctl", "--boot=-1", "--no-pager")


def test_a_lab_ends_with_the_process_that_made_it(tmp_path: Path) -> None:
    before = _cgroups()
    with subprocess.Popen(
        [sys.executable, "-c", _KILLED, str(tmp_path)],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as maker:
        assert maker.stdout is not None
        pid = int(maker.stdout.readline())
        assert is_alive(pid)
        os.kill(maker.pid, signal.SIGKILL)
    wait_until(lambda: not is_alive(pid), what="the host's first process is gone")
    # Only empty cgroups are left, as nobody was there to remove them.
    for left in _cgroups() - before:
        for folder, _, _ in os.walk(left, topdown=False):
            wait_until(partial(_is_removed, folder), what=f"{folder} is empty")


def test_a_lab_that_was_closed_leaves_nothing(tmp_path: Path) -> None:
    before = _cgroups()
    with Lab(tmp_path) as lab:
        host = lab.add("host", image())
        lab.start()
        pids = [int(pid) for folder in _cgroups() - before for pid in _pids(folder)]
        assert host.pid() in pids
    assert not any(map(is_alive, pids))
    assert _cgroups() == before


def test_without_root_the_command_that_helps_is_named() -> None:
    code = "import os; from tests.system.machine import check; os.setuid(65534); check()"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert "Unsuitable: " in done.stderr
    assert done.stderr.rstrip().endswith("Run: sudo make test")


def _cgroups() -> set[Path]:
    return {path for path in Path("/sys/fs/cgroup").rglob("celery-agent-lab-*") if path.is_dir()}


def _pids(folder: Path) -> list[str]:
    return [pid for each in folder.rglob("cgroup.procs") for pid in each.read_text().split()]


def _is_removed(folder: str) -> bool:
    try:
        os.rmdir(folder)
    except OSError:
        return False
    return True
