"""kill -9 of every kind of process that an agent consists of, each after each: what the first leaves behind meets the second.

daemon         supervises; its end is every worker's end
planner        reads the configuration, while a reload lasts
importer       the planner's half in the user's interpreter
template       forks workers
worker         the main process of a queue's worker
watcher        asks the broker about the queues
pool child     runs tasks
"""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import product
from pathlib import Path

from agent.guest.spec import watcher_of
from tests.chaos.ledger import Fact
from tests.chaos.stage import QUEUE, Stage
from tests.node import children, is_alive, name_of
from tests.waiting import wait_until

DAEMON, PLANNER, IMPORTER, TEMPLATE, WORKER, CHILD, WATCHER = (
    "daemon",
    "planner",
    "importer",
    "template",
    "worker",
    "pool child",
    "watcher",
)
KINDS = (DAEMON, PLANNER, IMPORTER, TEMPLATE, WORKER, CHILD, WATCHER)
EVERY_PAIR = tuple(product(KINDS, KINDS))
# One of each kind, and what was seen to go wrong: the template with the worker, and a planner of a dead daemon.
SOME_PAIRS = ((TEMPLATE, WORKER), (PLANNER, DAEMON), (CHILD, IMPORTER), (TEMPLATE, TEMPLATE), (WATCHER, TEMPLATE))


@dataclass(frozen=True, slots=True)
class Aftermath:
    """What was seen after a pair.

    daemon_lived: whether the daemon is the same as before.
    left_over: processes of the agent's that outlived a daemon that was killed.
    """

    pair: tuple[str, str]
    daemon_lived: bool
    left_over: tuple[int, ...]


def strike(stage: Stage, pair: tuple[str, str]) -> Aftermath:
    """Start the agent anew, kill a pair, and return when tasks that were sent afterwards are run."""
    stage.end_agent(signal.SIGTERM)
    stage.start_agent()
    stage.node.wait_until_consuming()
    daemon = _daemon(stage)
    before = _descendants(daemon)
    first, second = pair
    if {PLANNER, IMPORTER} & set(pair):
        stage.node.signal(signal.SIGHUP)
    if first == second:
        _kill(_find(stage, first))
        if DAEMON not in pair:
            if first in (PLANNER, IMPORTER):
                wait_until(lambda: not _planners(daemon), 60, "the planner is gone")
                stage.node.signal(signal.SIGHUP)
            _kill(_find(stage, second))
    else:
        # Both are there when the first one goes: the second meets what it leaves behind.
        with _known(_find(stage, first)) as one, _known(_find(stage, second)) as other:
            signal.pidfd_send_signal(one, signal.SIGKILL)
            _kill_known(other)
    left_over: tuple[int, ...] = ()
    if DAEMON in pair:
        assert stage.node.process is not None
        stage.node.process.wait(60)
        gone = wait_until(lambda: not any(map(is_alive, before)) or None, 20) if before else True
        left_over = () if gone else tuple(filter(is_alive, before))
    lived = is_alive(daemon)
    stage.tend_agent()
    _wait_for_fresh_task(stage)
    stage.node.wait_until_consuming()
    wait_until(lambda: stage.node.status()["watcher"] == "", 60, "the watcher works")
    return Aftermath(pair, lived, left_over)


def _wait_for_fresh_task(stage: Stage) -> None:
    """Return when a task has ended that was offered after now."""
    count = len(stage.ledger.entries())

    def ended() -> bool:
        entries = stage.ledger.entries()[count:]
        offered = {entry.task for entry in entries if entry.fact is Fact.OFFERED}
        return any(entry.fact is Fact.ENDED and entry.task in offered for entry in entries)

    wait_until(ended, 120, "a task is run that was sent after the kills")


def _daemon(stage: Stage) -> int:
    assert stage.node.process is not None
    return stage.node.process.pid


def _find(stage: Stage, kind: str) -> int:
    """Return the pid of a process of this kind, once there is one."""
    daemon = _daemon(stage)
    match kind:
        case "daemon":
            return daemon
        case "planner":
            return wait_until(lambda: next(iter(_planners(daemon)), 0), 30, "a planner runs")
        case "importer":
            return wait_until(
                lambda: next((each for planner in _planners(daemon) for each in _children(planner)), 0),
                30,
                "an importer runs",
            )
        case "template":
            return wait_until(lambda: _named(daemon, "agent-template"), 30, "a template runs")
        case "worker":
            return wait_until(lambda: _named(daemon, QUEUE), 30, "a worker runs")
        case "watcher":
            return wait_until(lambda: _named(daemon, watcher_of(stage.node.instance)[:15]), 30, "a watcher runs")
        case _:
            return wait_until(lambda: next(iter(_children(_named(daemon, QUEUE))), 0), 30, "a pool child runs")


def _planners(daemon: int) -> list[int]:
    return [pid for pid in _children(daemon) if "agent.config.planner" in _text(pid, "cmdline")]


def _named(daemon: int, name: str) -> int:
    return next((pid for pid in _children(daemon) if name_of(pid) == name), 0)


def _descendants(pid: int) -> list[int]:
    found = _children(pid)
    return [*found, *(each for child in found for each in _descendants(child))]


def _children(pid: int) -> list[int]:
    try:
        return children(pid) if pid else []
    except (FileNotFoundError, ProcessLookupError):
        return []


def _text(pid: int, name: str) -> str:
    try:
        return Path(f"/proc/{pid}/{name}").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return ""


def _kill(pid: int) -> None:
    with _known(pid) as known:
        _kill_known(known)
    wait_until(lambda: not is_alive(pid), 30, f"{pid} is gone")


@contextmanager
def _known(pid: int) -> Iterator[int]:
    """Hold on to a process, so that a signal can't reach another one of its number."""
    known = os.pidfd_open(pid)
    try:
        yield known
    finally:
        os.close(known)


def _kill_known(known: int) -> None:
    try:
        signal.pidfd_send_signal(known, signal.SIGKILL)
    except ProcessLookupError:  # it went with the first one
        pass
