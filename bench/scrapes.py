"""What it costs that Prometheus scrapes a node of many queues, and that the watcher asks the broker of a node that idles."""

from __future__ import annotations

import subprocess
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from statistics import median

from bench import processes
from bench.answers import own
from bench.contenders import Agent
from bench.idling import QUEUES as FEW
from bench.stage import BenchError, Stage, staged
from tests import ports
from tests.rabbitmq import RabbitMQ
from tests.waiting import wait_until

QUEUES = 100
SCRAPES = 10
INTERVAL = 6.0  # seconds; memory and CPU are measured anew where they are older than 5 s: each scrape pays for that
WATCHED = 60.0  # seconds


@dataclass(frozen=True, slots=True)
class Costs:
    """Milliseconds of CPU.

    daemon, sampler, listener: of these processes for one scrape, the median. watcher: of it in a minute of few idle queues.
    seconds: until a scrape was answered. size: bytes of an answer.
    """

    daemon: float
    sampler: float
    listener: float
    seconds: float
    size: int
    watcher: float


def measure(broker: RabbitMQ) -> Costs:
    """Scrape, and idle."""
    with staged(Agent, FEW, broker) as stage:
        stage.start()
        stage.settle()
        watcher = _named(stage, "bench.watcher")
        before = processes.running(watcher)
        time.sleep(WATCHED)
        idle = (processes.running(watcher) - before) * 60 / WATCHED
    with staged(Agent, QUEUES, broker) as stage:
        stage.start()
        stage.settle()
        with _listening(stage) as (url, listener):
            _scraped(url)
            pids = [_daemon(stage), _named(stage, "agent-sampler"), listener]
            costs, took, size = [], [], 0
            for _ in range(SCRAPES):
                time.sleep(INTERVAL)
                spent, began = [processes.running(pid) for pid in pids], time.monotonic()
                size = _scraped(url)
                took.append(time.monotonic() - began)
                costs.append([processes.running(pid) - each for pid, each in zip(pids, spent, strict=True)])
    daemon, sampler, listener = (median(each) * 1000 for each in zip(*costs, strict=True))
    return Costs(daemon, sampler, listener, median(took), size, idle * 1000)


@contextmanager
def _listening(stage: Stage) -> Iterator[tuple[str, int]]:
    with ports.reserve() as kept:
        place = f"{ports.HOST}:{ports.number(kept)}"
        command = own(stage, "metrics", "--listen", place)
        with subprocess.Popen(command, env=stage.contender.work.environment, stderr=subprocess.DEVNULL) as listener:
            try:
                url = f"http://{place}/metrics"
                wait_until(lambda: _answers(url), 30, "the listener answers")
                yield url, listener.pid
            finally:
                listener.kill()


def _answers(url: str) -> bool:
    try:
        return _scraped(url) > 0
    except OSError:
        return False


def _scraped(url: str) -> int:
    """Return how many bytes an answer has; raises BenchError where it does not tell of all queues."""
    with urllib.request.urlopen(url, timeout=10) as answer:  # noqa: S310 - on loopback
        text: bytes = answer.read()
    found = text.count(b"celery_worker_up{")
    if found != QUEUES:
        raise BenchError(f"{url} tells of {found} queues, not of {QUEUES}")
    return len(text)


def _named(stage: Stage, name: str) -> int:
    return next(pid for pid in stage.pids() if processes.name(pid) == name)


def _daemon(stage: Stage) -> int:
    return next(pid for pid in stage.pids() if "run" in processes.command_line(pid))
