"""The process that measures memory and CPU for the daemon, which must not wait for what it measures.

Adding up a process's pages (PSS) takes the lock of its memory map, for which the kernel waits as long as the process itself
holds it: docs/decisions/0012-a-process-that-measures.md.

daemon -> sampler   a list of pids
sampler -> daemon   of each, in this order: [pid, bytes, seconds of CPU, processes], or [pid] where it is gone; a list of those
                    that were measured within GATHERING seconds, since each by itself wakes the daemon for more than it says

JSON datagrams on a socket pair (SOCK_SEQPACKET).
"""

from __future__ import annotations

import json
import os
import socket
import threading
import time

import psutil

from agent.guest.descendants import with_descendants
from agent.guest.kernel import die_with_parent, set_name, set_title

CONTROL = 3  # the descriptor of the socket to the daemon
LARGEST = 262_144  # bytes
GATHERING = 0.09  # three times within what `agent.run.metrics` waits for an answer: what comes later is not told


class _Answers:
    """What has been measured, on its way; a thread sends it, as the one that measures may hang at the next process."""

    def __init__(self, control: socket.socket) -> None:
        self._control = control
        self._rows: list[tuple[float, ...]] = []
        self._sending = threading.Lock()
        self._more = threading.Event()
        threading.Thread(target=self._send_by_time, daemon=True).start()

    def add(self, *row: float) -> None:
        with self._sending:
            self._rows.append(row)
        self._more.set()

    def send(self) -> None:
        """Raises ConnectionError where the daemon has closed the socket."""
        self._more.clear()
        with self._sending:
            rows, self._rows = self._rows, []
            if rows:
                self._control.send(json.dumps(rows).encode())

    def _send_by_time(self) -> None:
        try:
            while self._more.wait():
                time.sleep(GATHERING)
                self.send()
        except OSError:  # closed, which the other thread meets, too
            pass


def main() -> None:
    """Measure what is asked for until the socket is closed."""
    daemon = os.getppid()
    die_with_parent()
    set_name("agent-sampler")
    set_title("celery-agent sampler")
    with socket.socket(fileno=CONTROL) as control:
        answers = _Answers(control)
        try:
            while request := control.recv(LARGEST):
                for pid in json.loads(request):
                    # The daemon's descendants are the workers, which are measured by themselves.
                    answers.add(pid, *_sum([pid] if pid == daemon else with_descendants(pid)))
                answers.send()
        except ConnectionError:  # the daemon has closed it
            pass


def _sum(pids: list[int]) -> tuple[int, float, int] | tuple[()]:
    memory, cpu, processes = 0, 0.0, 0
    for pid in pids:
        try:
            process = psutil.Process(pid)
            times = process.cpu_times()
            # PSS: pages shared with the template are divided among the workers, so that the queues' figures add up to
            # what the node really pays. RSS would count them once for each worker.
            memory += process.memory_full_info().pss
        except psutil.Error:  # it ended meanwhile
            continue
        cpu += times.user + times.system
        processes += 1
    return (memory, round(cpu, 2), processes) if processes else ()


if __name__ == "__main__":
    main()
