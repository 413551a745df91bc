"""Nodes of one fleet that share a schedule, and the ledger that its task writes."""

from __future__ import annotations

import os
import signal
from collections import Counter
from contextlib import ExitStack
from itertools import pairwise
from pathlib import Path
from typing import Any

from tests.node import Node, children
from tests.rabbitmq import RabbitMQ
from tests.waiting import wait_until

LEASE = "magic.schedule"
LEDGER = """
import os, time
import celery

class Tick(celery.Task):
    name = "tick"

    def run(self, ledger):
        line = f"{self.request.id} {time.time()}\\n"
        with open(ledger, "a") as file:
            file.write(line)
"""


class Fleet:
    """Agents of one name on several nodes of one broker, with an entry that ticks each second."""

    def __init__(self, folder: Path, broker: RabbitMQ, vhost: str, size: int, stack: ExitStack) -> None:
        self.ledger = folder / "ledger"
        self.ledger.touch()
        self.nodes = []
        for number in range(size):
            own = folder / str(number)
            own.mkdir()
            node = Node(own, broker, vhost)
            stack.callback(node.close)
            self.nodes.append(node)
            (node.code / "ledger.py").write_text(LEDGER)
            self.schedule(node, "1")
            node.configure(TASKS="ledger:Tick", SCHEDULE="entries:ENTRIES", DEFAULTS__POOL="solo")

    def schedule(self, node: Node, every: str, options: str = "{}") -> None:
        """Write the entries of a node: one, which is due each so many seconds."""
        text = f"'schedule': {every}, 'args': [{str(self.ledger)!r}], 'options': {options}"
        (node.code / "entries.py").write_text(f"ENTRIES = {{'each': {{'task': 'tick', {text}}}}}\n")

    def start(self) -> None:
        """Start all nodes; return when each of them stands for the right to send, and one sends."""
        for node in self.nodes:
            node.start()
        for node in self.nodes:
            node.wait_until_consuming()
        self.leader()

    def leading(self) -> list[Node]:
        """Return the nodes that say that they send."""
        running = [node for node in self.nodes if node.process is not None and node.process.poll() is None]
        return [node for node in running if (schedule_of(node) or {}).get("leads")]

    def leader(self) -> Node:
        """Return the node that sends, once there is one."""
        found = wait_until(self.leading, 30, "a node leads")
        assert found
        return found[0]

    def runs(self) -> list[tuple[str, float]]:
        """Return the task ids of the ledger, with the times at which they ran."""
        rows = [line.split() for line in self.ledger.read_text().splitlines()]
        return [(identifier, float(at)) for identifier, at in rows]

    def wait_for_more(self, count: int) -> None:
        """Return when the task has run so many times more."""
        before = len(self.runs())
        wait_until(lambda: len(self.runs()) >= before + count, 60, f"{count} more runs")

    def twice(self) -> list[str]:
        """Return the ids of ticks that have run more than once."""
        return [identifier for identifier, count in Counter(each for each, _ in self.runs()).items() if count > 1]

    def longest_gap(self, begin: int = 0) -> float:
        """Return the longest time between two runs, in seconds; without so many of the first."""
        times = sorted(at for _, at in self.runs())[begin:]
        return max((later - earlier for earlier, later in pairwise(times)), default=0.0)


def schedule_of(node: Node) -> dict[str, Any] | None:
    """Return what a node's status says of its schedule; None where it says nothing."""
    found: dict[str, Any] | None = node.status().get("schedule")
    return found


def kill_whole(node: Node) -> None:
    """Kill an agent and all that it has started, as the end of its host would."""
    assert node.process is not None
    below = children(node.process.pid)
    os.kill(node.process.pid, signal.SIGSTOP)  # so that it starts nothing anew meanwhile
    for pid in (*(each for child in below for each in _tree(child)), node.process.pid):
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            continue
    node.process.wait()


def freeze(node: Node) -> int:
    """Stop the process of a node that sends ticks where it stands; return its pid."""
    process = node.pids()[LEASE]
    os.kill(process, signal.SIGSTOP)
    return process


def thaw(process: int) -> None:
    """Let a process go on."""
    os.kill(process, signal.SIGCONT)


def _tree(pid: int) -> list[int]:
    try:
        return [pid, *(each for child in children(pid) for each in _tree(child))]
    except FileNotFoundError:
        return []
