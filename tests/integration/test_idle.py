"""An idle agent sleeps: nothing wakes its daemon but what systemd's watchdog wants."""

from __future__ import annotations

import socket
from dataclasses import dataclass
from pathlib import Path

from tests.node import Node
from tests.waiting import wait_until

BEATS = 6  # wake-ups of a worker, about 10 s: by them time is told, however slow the machine


@dataclass(frozen=True, slots=True)
class Work:
    """What a process has done so far, as the kernel counts it: how often it went to sleep, and ns on a processor."""

    sleeps: int
    cpu: int


def work(pid: int) -> Work:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    sleeps = next(line.split()[1] for line in lines if line.startswith("voluntary_ctxt_switches"))
    return Work(int(sleeps), int(Path(f"/proc/{pid}/schedstat").read_text().split()[0]))


def wait_for_beats(worker: int, count: int) -> None:
    """Return when an idle worker has woken so often."""
    before = work(worker).sleeps
    wait_until(lambda: work(worker).sleeps >= before + count, 120, f"the worker has woken {count} times")


def test_daemon_and_template_do_nothing_at_all_while_the_workers_beat(node: Node) -> None:
    node.configure("alpha", "beta", DEFAULTS__POOL="solo")
    node.start()
    node.wait_until_consuming()
    assert node.process is not None
    daemon, template, worker = node.process.pid, node.template(), node.pids()["alpha"]
    wait_for_beats(worker, 2)  # by then the last status request is over
    before = work(daemon), work(template)
    wait_for_beats(worker, BEATS)
    assert (work(daemon), work(template)) == before


def test_an_idle_daemon_wakes_only_to_feed_the_watchdog(node: Node, tmp_path: Path) -> None:
    node.configure("alpha", "beta", DEFAULTS__POOL="solo")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind(str(tmp_path / "notify"))
        systemd.settimeout(60)
        node.start(NOTIFY_SOCKET=str(tmp_path / "notify"), WATCHDOG_USEC="1000000")
        assert node.process is not None
        while systemd.recv(4096) != b"READY=1":
            pass
        told = [systemd.recv(4096) for _ in range(2)]  # the start is over by the second
        before, fed = work(node.process.pid), 8
        told += [systemd.recv(4096) for _ in range(fed)]
        after = work(node.process.pid)
    assert set(told) == {b"WATCHDOG=1"}
    assert after.sleeps - before.sleeps <= fed + 2  # before the first look and at the last it may be still awake
