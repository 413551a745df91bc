"""An idle agent sleeps: nothing wakes its daemon but what systemd's watchdog wants, and a look at its workers now and then."""

from __future__ import annotations

import socket
from dataclasses import dataclass
from pathlib import Path

from tests.node import Node
from tests.waiting import wait_until

BEATS = 6  # wake-ups of a worker, about 10 s: by them time is told, however slow the machine
LOOKS = 3  # of the daemon meanwhile, at most: one in 5 to 8 s


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


def test_a_daemon_looks_now_and_then_and_a_template_does_nothing_at_all_while_the_workers_beat(node: Node) -> None:
    node.configure("alpha", "beta", DEFAULTS__POOL="solo")
    node.start()
    node.wait_until_consuming()
    assert node.process is not None
    for queue in ("alpha", "beta"):
        node.wait_for(queue, lambda found: found["consumers"] == 1, "is seen by the watcher")
    daemon, template, worker = node.process.pid, node.template(), node.pids()["alpha"]
    wait_for_beats(worker, 2)  # by then the last status request is over
    before, of_template = work(daemon), work(template)
    wait_for_beats(worker, BEATS)
    assert work(daemon).sleeps - before.sleeps <= LOOKS
    assert work(template) == of_template


def test_an_idle_daemon_wakes_only_to_feed_the_watchdog(node: Node, tmp_path: Path) -> None:
    node.configure("alpha", "beta", DEFAULTS__POOL="solo")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind(str(tmp_path / "notify"))
        systemd.settimeout(60)
        node.start(NOTIFY_SOCKET=str(tmp_path / "notify"), WATCHDOG_USEC="1000000")
        assert node.process is not None
        while systemd.recv(4096) != b"READY=1":
            pass
        wait_until(lambda: "broker-reached" in node.log.read_text(), what="the watcher has looked")
        told = [systemd.recv(4096) for _ in range(2)]  # the start is over by the second
        before, fed = work(node.process.pid), 8
        told += [systemd.recv(4096) for _ in range(fed)]
        after = work(node.process.pid)
    assert set(told) == {b"WATCHDOG=1"}
    assert after.sleeps - before.sleeps <= fed + 2 + LOOKS  # before the first and at the last it may be still awake
