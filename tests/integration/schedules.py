"""Nodes of one fleet that share a schedule, and the ledger that its task writes."""

from __future__ import annotations

import os
import signal
from collections import Counter
from contextlib import ExitStack
from itertools import pairwise
from pathlib import Path
from threading import Event, Thread
from typing import Any, Self

from agent.control import client
from agent.errors import AgentError
from tests.node import Node, children
from tests.projects import Project
from tests.rabbitmq import RabbitMQ
from tests.redis import Redis
from tests.waiting import wait_until

TAKE_OVER = 10.0  # seconds from the end of a leader until another one sends
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
APP = """
import os, time
from celery import Celery

app = Celery("ledger", broker=os.environ["BROKER"])
app.conf.task_default_queue = "tick"

@app.task(name="tick", bind=True)
def tick(self, ledger):
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
            node = self.node(own, broker, vhost)
            stack.callback(node.close)
            self.nodes.append(node)
            self.schedule(node, "1")

    def node(self, folder: Path, broker: RabbitMQ, vhost: str) -> Node:
        """Return one more node, in a folder of its own."""
        node = Node(folder, broker, vhost)
        (node.code / "ledger.py").write_text(LEDGER)
        node.configure(TASKS="ledger:Tick", SCHEDULE="entries:ENTRIES", DEFAULTS__POOL="solo")
        return node

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

    def active(self) -> int:
        """Return how many have the right to send by the broker's word."""
        node = self.nodes[0]
        said = node.broker.evaluate(
            f'{{ok, Q}} = rabbit_amqqueue:lookup(rabbit_misc:r(<<"{node.vhost}">>, queue, <<"{LEASE}">>)), '
            "length([C || C <- rabbit_amqqueue:consumers(Q), element(5, C)])."
        )
        return int(said)

    def longest_gap(self, begin: int = 1) -> float:
        """Return the longest time between two runs, in seconds, from the run of a number on."""
        times = sorted(at for _, at in self.runs())[begin - 1 :]
        return max((later - earlier for earlier, later in pairwise(times)), default=0.0)


class RedisFleet(Fleet):
    """The same of an app whose broker is a Redis."""

    def __init__(self, folder: Path, broker: RabbitMQ, vhost: str, size: int, stack: ExitStack, server: Redis) -> None:
        self.server = server
        super().__init__(folder, broker, vhost, size, stack)

    def node(self, folder: Path, broker: RabbitMQ, vhost: str) -> Node:
        """Return one more node, in a folder of its own."""
        node = Project(folder, broker, vhost)
        node.app = "ledger:app"
        node.variables["BROKER"] = self.server.url
        (node.code / "ledger.py").write_text(APP)
        node.configure(SCHEDULE="entries:ENTRIES", DEFAULTS__POOL="solo")
        return node

    def active(self) -> int:
        """Return how many have the right to send by the broker's word."""
        with self.server.client() as client:
            return int(client.exists(f"{LEASE}.lock"))


class Lookout:
    """Looks ten times a second which nodes say that they lead, and how many do by the broker's word; in a thread.

    found: how many looks found so many nodes. A node says so a second later at most, and none does while one takes over.
    active: likewise, by the broker's word.
    """

    def __init__(self, fleet: Fleet) -> None:
        self.found: Counter[int] = Counter()
        self.active: Counter[int] = Counter()
        self._fleet = fleet
        self._is_over = Event()
        self._thread = Thread(target=self._look, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._is_over.set()
        self._thread.join()

    def _look(self) -> None:
        while not self._is_over.wait(0.1):
            self.found[sum(_leads(node) for node in self._fleet.nodes)] += 1
            self.active[self._fleet.active()] += 1


def _leads(node: Node) -> bool:
    try:
        schedule = client.status(node.runtime / node.instance).schedule
    except AgentError:  # it was killed
        return False
    return schedule is not None and schedule.leads


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


def kill_leaders(fleet: Fleet, kills: int) -> str:
    """Kill one leader after another, and have each followed in time by one other, which repeats no tick; return figures."""
    before = len(fleet.runs())
    with Lookout(fleet) as lookout:
        for _ in range(kills):
            leader = fleet.leader()
            kill_whole(leader)
            fleet.wait_for_more(2)
            leader.start()
    assert lookout.found.keys() == {0, 1}
    assert lookout.active.keys() <= {0, 1}
    assert fleet.twice() == []
    assert fleet.longest_gap(before) < TAKE_OVER
    return (
        f"{kills} leaders killed, {len(fleet.runs())} ticks: the longest gap was {fleet.longest_gap(before):.1f} s; "
        f"of {lookout.found.total()} looks {lookout.found[1]} found one node that leads, "
        f"and {lookout.active[1]} one that has the right by the broker's word; none found two"
    )


def freeze_leader(fleet: Fleet) -> str:
    """Freeze a leader until another leads, and have it send nothing when it goes on; return figures."""
    before, leader = len(fleet.runs()), fleet.leader()
    process = freeze(leader)
    other = wait_until(lambda: [node for node in fleet.leading() if node is not leader], 30, "another leads")
    fleet.wait_for_more(2)
    thaw(process)
    wait_until(lambda: leader not in fleet.leading(), 30, "the former leader has seen that it is none")
    fleet.wait_for_more(2)
    assert fleet.leading() == other
    assert fleet.twice() == []
    assert fleet.longest_gap(before) < TAKE_OVER
    return f"a frozen leader was followed after {fleet.longest_gap(before):.1f} s"
