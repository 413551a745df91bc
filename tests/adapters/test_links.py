"""The daemon's ends of what ties a worker to it, with whatever user code sends at the other ends."""

import gc
import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from selectors import BaseSelector
from typing import Any

import pytest

from agent.decide.events import Unheard
from agent.guest.messages import Connecting, Consuming, Fork, Prepare, encode
from agent.guest.scoreboard import Pulse, Scoreboard
from agent.guest.spec import Limits, TemplateSpec
from agent.run import links
from agent.run.cgroups import Cgroups
from agent.run.links import Ends, Links
from agent.run.timers import Timers
from tests.adapters.loop import Facts, Loop
from tests.unit.specs import SPEC


class Node:
    """Links with their surroundings, and what they have told."""

    def __init__(self, selector: BaseSelector, timers: Timers, log: Facts) -> None:
        self.cgroups = Cgroups(selector, timers, lambda queue, generation, event: None)
        self.reports: list[Any] = []
        self.links = Links(selector, timers, self.cgroups, log, lambda *report: self.reports.append(report))

    def open(self, generation: int = 1) -> Ends:
        return self.links.open("emails", generation, Limits(), 0)


@pytest.fixture
def node(selector: BaseSelector, timers: Timers, log: Facts) -> Iterator[Node]:
    node = Node(selector, timers, log)
    yield node
    node.links.close("emails", 1)


@pytest.fixture
def ends(node: Node) -> Iterator[Ends]:
    ends = node.open()
    yield ends
    ends.close()


@pytest.fixture
def report(ends: Ends) -> Iterator[socket.socket]:
    with socket.socket(fileno=os.dup(ends.report)) as report:
        yield report


def sends(report: socket.socket, datagram: bytes) -> bool:
    """Send where there is room for it."""
    try:
        report.send(datagram)
    except BlockingIOError:
        return False
    return True


def descriptors() -> list[str]:
    gc.collect()  # what other tests have left may hold some
    return os.listdir("/proc/self/fd")


def test_reports_are_told_with_the_process_they_are_of(node: Node, report: socket.socket, loop: Loop) -> None:
    report.send(encode(Connecting()))
    report.send(encode(Consuming()))
    loop.until(lambda: len(node.reports) == 2)
    assert node.reports == [("emails", 1, Connecting()), ("emails", 1, Consuming())]


@pytest.mark.parametrize(
    "garbage",
    [
        b"[" * 100_000,
        b'{"message":' * 10_000,
        b"\xff",
        b"null",
        b'{"message": ["Consuming"]}',
        json.dumps({"message": "Answer", "queue": 1}).encode(),
        encode(Prepare(TemplateSpec("python"), "magic")),
    ],
)
def test_what_is_no_report_is_logged_and_the_next_one_is_heard(
    node: Node, report: socket.socket, loop: Loop, log: Facts, garbage: bytes
) -> None:
    report.send(garbage)
    report.send(encode(Consuming()))
    loop.until(lambda: node.reports)
    (fact,) = log.of("report-not-understood")
    assert (fact["queue"], fact["generation"], fact["count"]) == ("emails", 1, 1)


@pytest.mark.parametrize("said", [b"a line of a task's own log", encode(Consuming()), b""])
def test_a_worker_that_says_too_much_is_heard_for_a_part_of_the_time_and_the_log_tells_little(
    node: Node, report: socket.socket, loop: Loop, log: Facts, monkeypatch: pytest.MonkeyPatch, said: bytes
) -> None:
    monkeypatch.setattr(links, "SPAN", 0.1)
    report.setblocking(False)
    sent = 0
    until = time.monotonic() + 10 * links.SPAN
    while time.monotonic() < until:
        while sends(report, said):
            sent += 1
        loop.turn()
    heard = len(node.reports) + sum(fact["count"] for fact in log.of("report-not-understood")[-1:])
    assert 0 < heard <= 11 * links.MOST_REPORTS
    assert sent > heard + links.MOST_REPORTS  # or nothing was shown
    assert len(log.facts) < 20


def test_what_is_said_after_too_much_is_heard_in_its_turn(
    node: Node, report: socket.socket, loop: Loop, log: Facts, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(links, "SPAN", 0.1)
    for datagram in [b"garbage"] * 3 * links.MOST_REPORTS + [encode(Consuming())]:
        while not sends(report, datagram):
            loop.turn()
    loop.until(lambda: node.reports)
    assert [fact["count"] for fact in log.of("report-not-understood")] == [1, 2, 4, 8, 16, 32]
    assert [fact["count"] for fact in log.of("reports-held-back")] == [1, 2]


def test_a_worker_that_says_too_much_wakes_nobody_until_its_span_is_over_and_another_is_heard(
    node: Node, report: socket.socket, loop: Loop, selector: BaseSelector
) -> None:
    others = node.open(generation=2)
    with socket.socket(fileno=os.dup(others.report)) as other:
        for _ in range(links.MOST_REPORTS + 1):
            report.send(encode(Connecting()))
        loop.until(lambda: len(node.reports) == links.MOST_REPORTS)
        assert not selector.select(0)
        other.send(encode(Consuming()))
        loop.until(lambda: ("emails", 2, Consuming()) in node.reports)
    node.links.close("emails", 1)  # in the middle of its rest
    others.close()
    node.links.close("emails", 2)


def test_an_empty_datagram_is_no_end(node: Node, report: socket.socket, loop: Loop, log: Facts) -> None:
    """Else nothing that the worker says later would be heard: it would be shown as consuming with its broker stopped."""
    report.send(b"")
    report.send(encode(Connecting()))
    loop.until(lambda: node.reports)
    assert len(log.of("report-not-understood")) == 1


def test_a_socket_that_is_shut_down_is_told_and_wakes_nobody(
    node: Node,
    report: socket.socket,
    loop: Loop,
    log: Facts,
    selector: BaseSelector,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    report.shutdown(socket.SHUT_WR)
    monkeypatch.setattr(links, "LAST_BREATH", 0.1)
    loop.until(lambda: log.facts)
    assert "is heard no more" in log.of("report-not-understood")[0]["reason"]
    assert not selector.select(0)
    assert len(log.facts) == 1
    loop.until(lambda: node.reports)
    assert node.reports == [("emails", 1, Unheard())]


def test_a_worker_that_is_gone_leaves_its_last_words_and_wakes_nobody(
    node: Node, selector: BaseSelector, loop: Loop
) -> None:
    ends = node.open()
    Scoreboard(ends.board).write(Pulse(at=1.0, succeeded=3))
    ends.close()
    loop.turn()
    assert not selector.select(0)
    assert node.links.pulse("emails", 1) == Pulse(at=1.0, succeeded=3)


def test_a_link_that_is_closed_leaves_no_descriptor(node: Node) -> None:
    before = descriptors()
    node.open().close()
    node.links.close("emails", 1)
    node.links.close("emails", 1)
    assert descriptors() == before
    assert node.links.pulse("emails", 1) is None


def test_a_process_that_can_get_no_cgroup_leaves_nothing(node: Node, tmp_path: Path, selector: BaseSelector) -> None:
    before = descriptors(), len(selector.get_map())
    node.cgroups._top = tmp_path / "removed"
    with pytest.raises(FileNotFoundError):
        node.open()
    assert (descriptors(), len(selector.get_map())) == before
    assert node.links.pulse("emails", 1) is None
    node.cgroups._top = None
    node.open().close()  # as for a process that was never tried before


STARTS_A_PROGRAM = """
import os, socket
from agent.guest.work.template import Template

class StartsAProgram(Template):
    def _be_worker(self, request, report, board, code, group=None):
        return os.waitstatus_to_exitcode(os.system("ls -l /proc/self/fd"))

StartsAProgram(socket.socket(fileno=0), os.getppid(), "", None, frozenset(), ()).serve_one()
"""


def test_a_program_that_a_task_starts_has_neither_report_socket_nor_scoreboard(ends: Ends) -> None:
    daemon, template = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with daemon, template:
        socket.send_fds(daemon, [encode(Fork(SPEC, 1))], ends.descriptors())
        done = subprocess.run(
            [sys.executable, "-c", STARTS_A_PROGRAM],
            stdin=template.fileno(),
            stdout=subprocess.PIPE,
            text=True,
            check=True,
            timeout=30,
        )
    has = [line.rpartition(" -> ")[2] for line in done.stdout.splitlines()]
    assert any(target.startswith("pipe:") for target in has)
    assert [target for target in has if "scoreboard" in target] == []
    assert sum(target.startswith("socket:") for target in has) == 1  # the template's own, which is its stdin here


def test_a_page_that_can_no_longer_be_read_says_what_it_said_last(node: Node, ends: Ends) -> None:
    """Its age tells that the worker has been silent; no pulse at all would pass for a worker that has just begun."""
    board = Scoreboard(ends.board)
    board.write(Pulse(at=1.0, queues=("emails",)))
    assert node.links.pulse("emails", 1) == Pulse(at=1.0, queues=("emails",))
    os.pwrite(ends.board, b"\xff" * 8, 0)
    assert node.links.pulse("emails", 1) == Pulse(at=1.0, queues=("emails",))
    board.close()
