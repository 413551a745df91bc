"""Two instances for each pool and each store, with one queue each, and the rows that are played on them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import uuid
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path

from tests.guide.fleet import SETTINGS
from tests.node import ROOT, Node
from tests.rabbitmq import RabbitMQ
from tests.truth import held_to_the_truth

POOLS = ("prefork", "threads", "solo")
STORES = ("rpc", "redis", "database")
_talking = threading.Lock()  # fleets are started at once, and what talks to the broker does one thing at a time
HOSTED = {"first": "left", "second": "right"}


@dataclass(frozen=True, slots=True)
class Setting:
    """What a fleet is made of."""

    pool: str
    store: str

    def __str__(self) -> str:
        return f"{self.pool}-{self.store}"


ALL = [Setting(pool, store) for pool in POOLS for store in STORES]
FEW = [Setting(pool, store) for pool, store in zip(POOLS, STORES, strict=True)]  # each pool and each store, once


def play(setting: Setting, keys: Sequence[str], folder: Path, broker: RabbitMQ, redis_url: str) -> dict[str, str]:
    """Start a fleet, play these rows on it and end it; return what went wrong in each row, mostly nothing."""
    folder.mkdir()
    with ExitStack() as stack:
        vhost = stack.enter_context(_vhost(broker))
        store = {"rpc": "rpc", "redis": redis_url, "database": f"db+sqlite:///{folder}/results.sqlite"}[setting.store]
        nodes = [
            stack.enter_context(held_to_the_truth(_node(folder, broker, vhost, each, setting, store)))
            for each in HOSTED
        ]
        for node in nodes:
            node.start()
        for node in nodes:
            node.wait_until_consuming()
        return _played(setting, keys, folder, nodes[0].variables)


@contextmanager
def _vhost(broker: RabbitMQ) -> Iterator[str]:
    name = f"guide-{uuid.uuid4().hex[:12]}"
    with _talking:
        broker.add_vhost(name)
    yield name
    with _talking:
        broker.delete_vhost(name)


def _node(folder: Path, broker: RabbitMQ, vhost: str, instance: str, setting: Setting, store: str) -> Node:
    (folder / instance).mkdir()
    node = Node(folder / instance, broker, vhost, instance)
    node.variables |= {
        "CELERY_TASKS_RESULTS": store,
        "GUIDE_HEARD": str(folder / "heard"),
        "GUIDE_TICKS": str(folder / "ticks"),
    }
    module = HOSTED[instance]
    names = [f"tests.guide.{module}:{name}" for name in _classes(module)]
    scheduled = {"SCHEDULE": "tests.guide.schedule:ENTRIES"} if module == "right" else {}
    node.configure(
        TASKS=",".join(names),
        PATH=str(ROOT),
        CELERY_CONFIG=SETTINGS,
        DEFAULTS__POOL=setting.pool,
        DEFAULTS__CONCURRENCY="1" if setting.pool == "solo" else "4",
        DEFAULTS__LOG_LEVEL="DEBUG",
        **scheduled,
    )
    return node


def _classes(module: str) -> list[str]:
    return [task.__name__ for task in import_module(f"tests.guide.{module}").TASKS]


def _played(setting: Setting, keys: Sequence[str], folder: Path, variables: dict[str, str]) -> dict[str, str]:
    done = subprocess.run(
        [sys.executable, "-m", "tests.guide.play", setting.pool, setting.store, str(folder)],
        input=json.dumps(keys),
        env={**os.environ, "PYTHONPATH": str(ROOT), **variables},
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=500,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    outcomes: dict[str, str] = json.loads(done.stdout.rpartition("outcomes ")[2])
    return outcomes
