"""Memory and CPU of processes, as a process beside measures them; nobody here waits for it."""

from __future__ import annotations

import json
import os
import socket
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from selectors import EVENT_READ, BaseSelector
from typing import Any

from agent.decide.rows import Sample
from agent.run.children import Children
from agent.run.logs import Log
from agent.run.own import own
from agent.run.timers import Timers

FRESH = 5.0  # seconds; PSS costs the kernel a walk through all of a process's pages, 1 ms a worker
WAIT = 0.3  # seconds after which whoever asks is given what there is; the sampler starts in a quarter of that
STUCK = 5.0  # seconds without a word after which the sampler hangs at what it measures, and is replaced
IDLE = 60.0  # seconds without a question after which it ends: it takes 8 MB
CONTROL = 3  # where the sampler finds its socket
LARGEST = 65_536  # bytes of answers
SAMPLER = own("agent.run.sampler")

Samples = Mapping[int, Sample]


class Metrics:
    """Samples of processes by pid, at most FRESH seconds old as far as they can be had.

    A process that holds the sampler up has none until it lets itself be measured; it is asked for last then, so that it
    costs nobody else's figures.
    """

    def __init__(
        self,
        children: Children,
        selector: BaseSelector,
        timers: Timers,
        log: Log,
        program: Sequence[str] = SAMPLER,
    ) -> None:
        """Start nothing yet; `program` is what measures, see `agent.run.sampler`."""
        self._children = children
        self._selector = selector
        self._timers = timers
        self._log = log
        self._program = program
        self._samples: dict[int, tuple[float, Sample]] = {}
        self._sampler: tuple[int, socket.socket] | None = None
        self._asked: dict[int, None] = {}  # what the sampler has not answered yet, in its order
        self._stuck: set[int] = set()
        self._waiting: list[Callable[[Samples], None]] = []

    def ask(self, pids: Collection[int], on_samples: Callable[[Samples], None]) -> None:
        """Have a function called with the samples of these processes, at once or within WAIT seconds.

        Left out is who is gone, and who could not be measured in time.
        """
        now = time.monotonic()
        self._samples = {pid: self._samples[pid] for pid in pids if pid in self._samples}
        self._stuck.intersection_update(pids)
        stale = [pid for pid in pids if pid not in self._samples or now - self._samples[pid][0] >= FRESH]
        if stale and not self._asked:
            self._measure(sorted(stale, key=self._stuck.__contains__))
        self._waiting.append(on_samples)
        if "samples" not in self._timers:
            self._answer()

    def close(self) -> None:
        """End the sampler, where there is one."""
        self._drop()

    def _measure(self, pids: list[int]) -> None:
        try:
            _, control = self._sampler = self._sampler or self._start()
            control.send(json.dumps(pids).encode())
        except OSError as error:  # no process or memory left, or it has ended just now
            self._log.trouble("sampler-failed", reason=error)
            self._drop()
            return
        self._asked = dict.fromkeys(pids)
        self._timers.after(WAIT, "samples", self._answer)
        self._timers.after(STUCK, "sampler", self._replace)

    def _start(self) -> tuple[int, socket.socket]:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            try:
                # That it ended is seen at the socket.
                pid = self._children.spawn(self._program, os.environ, {CONTROL: theirs.fileno()}, lambda _: None)
            except OSError:
                ours.close()
                raise
        ours.setblocking(False)
        self._selector.register(ours, EVENT_READ, self._readable)
        return pid, ours

    def _readable(self) -> None:
        while self._sampler is not None:
            try:
                datagram = self._sampler[1].recv(LARGEST)
            except BlockingIOError:
                if self._asked:
                    self._timers.after(STUCK, "sampler", self._replace)
                return
            except ConnectionError:
                datagram = b""
            if not datagram:
                self._log.trouble("sampler-failed", reason="it has ended")
                self._drop()
                return
            self._take(json.loads(datagram))

    def _take(self, rows: list[list[Any]]) -> None:
        now = time.monotonic()
        for pid, *sums in rows:
            self._asked.pop(pid, None)
            self._stuck.discard(pid)
            self._samples.pop(pid, None)
            if sums:
                self._samples[pid] = (now, Sample._make(sums))
        if not self._asked:
            self._timers.after(IDLE, "sampler", self._drop)
            self._answer()

    def _answer(self) -> None:
        self._timers.cancel("samples")
        samples = {pid: sample for pid, (_, sample) in self._samples.items()}
        while self._waiting:
            self._waiting.pop(0)(samples)

    def _replace(self) -> None:
        pid = next(iter(self._asked))
        self._log.trouble("sampler-stuck", pid=pid)
        self._stuck.add(pid)
        self._samples.pop(pid, None)
        self._drop()

    def _drop(self) -> None:
        """End the sampler; the next question starts another."""
        sampler, self._sampler = self._sampler, None
        self._asked = {}
        self._timers.cancel("sampler")
        if sampler is not None:
            self._selector.unregister(sampler[1])
            sampler[1].close()
            self._children.kill(sampler[0])
        self._answer()
