"""A worker without an agent, whose sleep is watched at the border to the kernel, and the producer that goes with it.

    python watched_worker.py QUEUE work NOTES CONSUMER [option of `celery worker` …]
    python watched_worker.py QUEUE send COUNT    no-op tasks; says "sent", and ends when the last one's result is there

The worker writes to the file NOTES, one line each time:

    slept on work        it waited for the kernel while callbacks were ready to be called
    slept on a signal    a signal came while it waited, and it waited on
"""

from __future__ import annotations

import select
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import celery
from celery.worker import state
from kombu.asynchronous import get_event_loop
from kombu.utils import eventio

from celery_tasks.utils import create_worker_from


class WatchedEpoll:
    """An epoll object that notes what it is asked for."""

    hub: Any = None

    def __init__(self, epoll: Any, notes: Path) -> None:
        """Stand before an epoll object."""
        self._epoll = epoll
        self._file = notes
        self._noted: set[str] = set()

    def poll(self, timeout: float = -1, *more: Any) -> Any:
        """Poll, and note a sleep that should not have been."""
        WatchedEpoll.hub = get_event_loop() or self.hub  # kombu forgets it when a connection is lost
        was_told = state.should_stop is not None
        if timeout:
            self._note("slept")
        if timeout and self.hub and self.hub._ready:
            self._note("slept on work")
        events = self._epoll.poll(timeout, *more)
        if state.should_stop is not None and not was_told and not events:
            self._note("slept on a signal")
        return events

    def __getattr__(self, name: str) -> Any:
        return getattr(self._epoll, name)

    def _note(self, line: str) -> None:
        if line not in self._noted:
            self._noted.add(line)
            with self._file.open("a") as file:
                file.write(f"{line}\n")


def work(app: celery.Celery, notes: Path, consumer: str, options: Sequence[str]) -> None:
    """Run a worker with a consumer class, until it is told to stop."""
    eventio.epoll = lambda: WatchedEpoll(select.epoll(), notes)
    # Without heartbeats nothing but a signal or a message ends a wait early.
    app.conf.update(worker_consumer=consumer, broker_heartbeat=0)
    app.worker_main(["worker", "--without-gossip", "--without-mingle", "--without-heartbeat", *options])


def send(app: celery.Celery, task: celery.Task, count: int) -> None:
    """Send so many tasks, and wait for the last one's result."""
    with app.producer_pool.acquire(block=True) as producer:
        for _ in range(count - 1):
            task.apply_async(producer=producer, ignore_result=True)
    last = task.apply_async()
    sys.stdout.write("sent\n")
    sys.stdout.flush()
    last.get(timeout=120)


def main(queue: str, command: str, *arguments: str) -> None:
    """Do what is asked for."""

    class Noop(celery.Task):
        name = queue

        def run(self) -> None:
            """Do nothing."""

    app, task = create_worker_from(Noop)
    if command == "work":
        notes, consumer, *options = arguments
        work(app, Path(notes), consumer, options)
    else:
        send(app, task, int(arguments[0]))


if __name__ == "__main__":
    main(*sys.argv[1:])
