"""An interpreter without Celery, as CELERY_AGENT_PYTHON: answers the planner, and is a template whose workers run no tasks.

    FAKE_QUEUES     the queues that it says the task classes have, with commas between them
    FAKE_TROUBLE    what its processes do beside, as "who=what", with commas between them:
                        <queue>=reports      a worker sends garbage as its reports
                        <queue>=pages        a worker writes garbage on its scoreboard
                        template=messages    the template sends garbage once it has forked a worker for each queue
    FAKE_SEED       of the garbage

It forks as the real template does, so that the daemon is the parent of its workers.
"""

from __future__ import annotations

import json
import mmap
import os
import random
import signal
import socket
import sys
import time
from collections.abc import Sequence
from itertools import count

from agent.guest.kernel import die_with_parent, set_name
from agent.guest.messages import LARGEST, Answer, Connecting, Consuming, Fork, Forked, Prepared, decode, encode
from agent.guest.scoreboard import SIZE, Pulse, Scoreboard
from tests.adapters.garbage import datagram, page

CONTROL = 3
BEAT = 0.05  # seconds


def main() -> None:
    """Be what the agent has started: `python -P launch.py MODULE`."""
    if sys.argv[-1] == "answer.main":
        answer()
    else:
        Template().serve()


def answer() -> None:
    """Say what the planner asks for: one task class for each queue."""
    request = json.load(sys.stdin)
    names = dict(zip(os.environ["FAKE_QUEUES"].split(","), request["tasks"], strict=True))
    lines = [
        {"started": "3.11.0"},
        {"celery": "5.7.0"},
        *({"task": task, "name": name, "queue": name} for name, task in names.items()),
        {"broker": "rabbitmq://nowhere//", "embedded": False},
        {"done": True},
    ]
    sys.stdout.write("".join(f"{json.dumps(line)}\n" for line in lines))
    sys.stdout.flush()


class Template:
    """Forks workers on request."""

    def __init__(self) -> None:
        self._daemon = os.getppid()
        die_with_parent()
        set_name("agent-template")
        self._control = socket.socket(fileno=CONTROL)
        self._chance = random.Random(os.environ.get("FAKE_SEED", "0"))
        pairs = (each.split("=") for each in os.environ.get("FAKE_TROUBLE", "").split(",") if each)
        self._trouble = dict(pairs)

    def serve(self) -> None:
        """Answer until the daemon's end is closed."""
        decode(self._control.recv(LARGEST))
        self._control.send(encode(Prepared(0.1)))
        queues = len(os.environ["FAKE_QUEUES"].split(","))
        for number in count():
            if self._trouble.get("template") == "messages" and number == queues:
                self._control.send(datagram(self._chance))
            received, descriptors, _, _ = socket.recv_fds(self._control, LARGEST, 3)
            if not received:
                return
            request = decode(received)
            assert isinstance(request, Fork)
            self._fork(request, descriptors)
            for descriptor in descriptors:
                os.close(descriptor)

    def _fork(self, request: Fork, descriptors: Sequence[int]) -> None:
        told, tell = os.pipe()
        wait, go = os.pipe()
        if (intermediate := os.fork()) == 0:
            pid = os.fork()
            if pid:
                os.write(tell, str(pid).encode())
                os._exit(0)
            os.close(go)
            os.read(wait, 1)
            work(self._daemon, request.spec.queue, self._trouble.get(request.spec.queue, ""), *descriptors[:2])
        os.waitpid(intermediate, 0)
        pid = int(os.read(told, 32))
        self._control.send(encode(Answer(request.spec.queue, request.generation, Forked(pid))))
        for descriptor in (told, tell, wait, go):
            os.close(descriptor)


def work(daemon: int, queue: str, trouble: str, report: int, board: int) -> None:
    """Be a worker that consumes and runs nothing; never returns."""
    os.setsid()
    while os.getppid() != daemon:
        time.sleep(0.001)
    die_with_parent()
    set_name(queue)
    signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
    link = socket.socket(fileno=report)
    for message in (Connecting(), Consuming()):
        link.send(encode(message))
    chance = random.Random(os.environ.get("FAKE_SEED", "0") + queue)
    if trouble == "reports":
        while True:
            link.send(datagram(chance))
    if trouble == "pages":
        memory = mmap.mmap(board, SIZE)
        while True:
            memory[:] = page(chance)
    scoreboard = Scoreboard(board)
    while True:
        scoreboard.write(Pulse(at=time.monotonic(), queues=(queue,)))
        time.sleep(BEAT)


if __name__ == "__main__":
    main()
