"""What ties each worker's process to the daemon: a socket that it reports on, its scoreboard, and its cgroup.

User code has all descriptors of its worker, and may write to the socket whatever it likes, as fast as it can:

    on the socket                              what becomes of it
    -----------------------------------------  ---------------------------------------------------------------------
    what is no report, an empty datagram too   is counted; the log tells of the 1st, 2nd, 4th, 8th…
    more than MOST_REPORTS within SPAN, right  wait in the socket until SPAN is over; where that is full, their sender
    or wrong                                   waits, or is refused
"""

from __future__ import annotations

import dataclasses
import os
import resource
import socket
import time
from collections.abc import Callable
from contextlib import ExitStack, suppress
from selectors import EVENT_READ, BaseSelector

from agent.decide.events import Unheard
from agent.guest.messages import LARGEST, Connecting, Consuming, Died, Grown, Seen, decode
from agent.guest.receiving import is_gone, receive, refuse_descriptors, says_no_more
from agent.guest.scoreboard import Pulse, Scoreboard, create
from agent.guest.spec import Limits
from agent.guest.values import dataclass
from agent.run.cgroups import Cgroups
from agent.run.logs import Log
from agent.run.timers import Timers

Key = tuple[str, int]  # queue and generation: one process
Report = Connecting | Consuming | Grown | Died | Seen | Unheard

MOST_REPORTS = 20  # a worker makes two when it starts, and two for each lost connection, one for each death in its pool
SPAN = 10.0  # seconds
LAST_BREATH = 5.0  # seconds in which a process that ends is gone, its socket having been closed first


@dataclass(frozen=True, slots=True)
class Ends:
    """The worker's ends, as descriptors; they are the receiver's to close.

    code: what it imports, see `agent.guest.code`. group: the way into its cgroup, where it has one.
    """

    report: int
    board: int
    code: int
    group: int | None = None

    def descriptors(self) -> tuple[int, ...]:
        """Return them as they are sent along with the fork request."""
        always = (self.report, self.board, self.code)
        return always if self.group is None else (*always, self.group)

    def close(self) -> None:
        """Close them all."""
        for descriptor in self.descriptors():
            os.close(descriptor)


@dataclasses.dataclass(slots=True)
class Link:
    """The daemon's ends.

    misunderstood: how many reports were none. pulse: the newest that could be read.
    reports: how many came in the present span, which ends at `until`. spans: how many had more than are read in one.
    """

    report: socket.socket
    board: Scoreboard
    misunderstood: int = 0
    pulse: Pulse | None = None
    reports: int = 0
    until: float = 0.0
    spans: int = 0


class Links:
    """The daemon's ends, one pair for each process that is being forked or runs."""

    def __init__(
        self,
        selector: BaseSelector,
        timers: Timers,
        cgroups: Cgroups,
        log: Log,
        on_report: Callable[[str, int, Report], None],
    ) -> None:
        """Start without links; `on_report` is called with queue, generation and what the worker said, or that it can't."""
        self._selector = selector
        self._timers = timers
        self._cgroups = cgroups
        self._log = log
        self._on_report = on_report
        self._links: dict[Key, Link] = {}

    def open(self, queue: str, generation: int, limits: Limits, code: int) -> Ends:
        """Make a link for a process to come; return its ends. Raises OSError where descriptors or memory are used up.

        code: the descriptor of what it imports, of which it gets one of its own.
        """
        with ExitStack() as undo:
            ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            undo.callback(ours.close)
            undo.callback(theirs.close)
            ours.setblocking(False)
            refuse_descriptors(ours)
            descriptor = create()
            undo.callback(os.close, descriptor)
            board = Scoreboard(descriptor)
            undo.callback(board.close)
            self._hear(ours, queue, generation)
            undo.callback(self._selector.unregister, ours)
            code = os.dup(code)
            undo.callback(os.close, code)
            group = self._cgroups.open(queue, generation, limits)
            undo.pop_all()
        self._links[queue, generation] = Link(ours, board)
        return Ends(theirs.detach(), descriptor, code, group)

    def pulse(self, queue: str, generation: int) -> Pulse | None:
        """Return what a process last wrote on its scoreboard, be it alive or not yet forgotten.

        Where the page can't be read, as in the middle of a write, it is what was read before: its age tells.
        """
        link = self._links.get((queue, generation))
        if link is None:
            return None
        link.pulse = link.board.read() or link.pulse
        return link.pulse

    def ask(self, queue: str, generation: int) -> None:
        """Have a process look soon, where it is one that looks: it is woken by what comes from here."""
        link = self._links.get((queue, generation))
        if link is not None and link.report.fileno() >= 0:
            with suppress(BlockingIOError, ConnectionError):  # it has been asked often enough, or it is gone
                link.report.send(b"?")

    def close(self, queue: str, generation: int) -> None:
        """Forget a process, where there is one, and end what it has left behind."""
        link = self._links.pop((queue, generation), None)
        if link is not None:
            self._timers.cancel(_timer(queue, generation))
            self._end(link.report)
            link.board.close()
        self._cgroups.close(queue, generation)

    def _readable(self, queue: str, generation: int) -> None:
        link = self._links.get((queue, generation))
        if link is None:
            return
        try:
            datagram = receive(link.report, LARGEST)
        except (BlockingIOError, ConnectionError):
            return
        if not datagram and says_no_more(link.report):
            if not is_gone(link.report):
                self._misunderstood(link, queue, generation, "it has shut its socket down, and is heard no more")
            # Where the process ends, that comes as an exit; the scoreboard is still wanted then.
            self._end(link.report)
            self._timers.after(
                LAST_BREATH, _timer(queue, generation), lambda: self._on_report(queue, generation, Unheard())
            )
            return
        self._count(link, queue, generation)
        try:
            message = decode(datagram)
        except ValueError as error:
            self._misunderstood(link, queue, generation, error)
            return
        if isinstance(message, (Connecting, Consuming, Grown, Died, Seen)):
            self._on_report(queue, generation, message)
        else:
            self._misunderstood(link, queue, generation, f"a worker sends no {type(message).__name__}")

    def _misunderstood(self, link: Link, queue: str, generation: int, reason: object) -> None:
        link.misunderstood += 1
        if link.misunderstood.bit_count() == 1:
            self._log.trouble(
                "report-not-understood",
                queue=queue,
                generation=generation,
                count=link.misunderstood,
                reason=reason,
            )

    def _hear(self, report: socket.socket, queue: str, generation: int) -> None:
        self._selector.register(report, EVENT_READ, lambda: self._readable(queue, generation))

    def _count(self, link: Link, queue: str, generation: int) -> None:
        """Count a report; where there are too many, leave those that come to wait until the span is over."""
        now = time.monotonic()
        if now >= link.until:
            link.reports, link.until = 0, now + SPAN
        link.reports += 1
        if link.reports < MOST_REPORTS:
            return
        self._selector.unregister(link.report)
        self._timers.after(
            link.until - now, _timer(queue, generation), lambda: self._hear(link.report, queue, generation)
        )
        link.spans += 1
        if link.spans.bit_count() == 1:
            self._log.trouble(
                "reports-held-back",
                queue=queue,
                generation=generation,
                most=MOST_REPORTS,
                seconds=SPAN,
                count=link.spans,
            )

    def _end(self, report: socket.socket) -> None:
        if report.fileno() >= 0:
            if report in self._selector.get_map():
                self._selector.unregister(report)
            report.close()


def _timer(queue: str, generation: int) -> str:
    """Return the name of a process's one timer: it ends a rest, or the time that a silent one has left to exit."""
    return f"reports of {queue} {generation}"


def raise_descriptor_limit() -> None:
    """Allow as many open files as may be had: each worker takes some, and shells still start programs with 1,024."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with suppress(ValueError):  # the system's own limit (fs.nr_open) is below: it stays as it is
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
