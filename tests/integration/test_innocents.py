"""No task suffers for another: a task that ends its process, among many that don't, on a real broker.

`make innocents` plays all cells, each with 1,000 tasks; `make test` plays one of each pool.
"""

import random
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from itertools import product

import pytest

from tests.integration.dead_letters import declare, letters, publish, task, waiting
from tests.node import TASKS, Node
from tests.waiting import wait_until

MOST_DEATHS = 3
NOTING = """
LEDGER = os.open({ledger!r}, os.O_WRONLY | os.O_APPEND | os.O_CREAT)

def noting(kind):
    stock = kind.run
    def run(self, action="return", value=None):
        os.write(LEDGER, ("%s %d\\n" % (self.request.id, os.getpid())).encode())
        return stock(self, action, value)
    kind.run = run

for kind in (Alpha, Beta, Gamma):
    noting(kind)
"""


@dataclass(frozen=True)
class Cell:
    """How a queue is served: by which pool, how many tasks at once, fetched ahead for each; and how many end their process."""

    pool: str
    concurrency: int
    prefetch: int
    poison: int

    def settings(self, queue: str) -> dict[str, str]:
        """Return the settings of a queue, without their common prefix."""
        values = {"POOL": self.pool, "CONCURRENCY": self.concurrency, "PREFETCH": self.prefetch}
        return {f"QUEUES__{queue}__{name}": str(value) for name, value in values.items()}


SHORT = {"alpha": Cell("solo", 1, 64, 1), "beta": Cell("threads", 4, 8, 2), "gamma": Cell("prefork", 2, 8, 2)}
LONG = [
    Cell(*each)
    for each in product(("solo", "threads", "prefork"), (1, 4), (1, 8, 64), (1, 10))
    if each[:2] != ("solo", 4)
]


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "cells" in metafunc.fixturenames:
        plays = [{"alpha": each} for each in LONG] if metafunc.config.getoption("--innocents") else [SHORT]
        names = ["-".join(f"{c.pool}-{c.concurrency}x{c.prefetch}-{c.poison}" for c in play.values()) for play in plays]
        metafunc.parametrize("cells", plays, ids=names)


def prepare(node: Node, cells: dict[str, Cell], count: int) -> dict[str, set[str]]:
    """Fill the queues; return the ids of the poison in each."""
    (node.code / "greek.py").write_text(TASKS + NOTING.format(ledger=str(node.code / "ledger")))
    settings = {name: value for queue, cell in cells.items() for name, value in cell.settings(queue).items()}
    node.configure(*cells, **settings)
    poison = {}
    for queue, cell in cells.items():
        declare(node, queue)
        deadly = set(random.Random(count).sample(range(2, count // 2), cell.poison))
        poison[queue] = {f"{queue}-{number}" for number in deadly}
        tasks = (task(queue, "abort" if n in deadly else "return", id=f"{queue}-{n}") for n in range(count))
        publish(node, queue, *tasks)
    return poison


def ledger(node: Node) -> list[tuple[str, str]]:
    """Return each run, as the id of its task and the pid of its process."""
    path = node.code / "ledger"
    return [tuple(line.split()) for line in path.read_text().splitlines()] if path.exists() else []  # type: ignore[misc]


@pytest.mark.rabbitmq_4
def test_a_task_that_ends_its_process_takes_no_other_along(
    node: Node, cells: dict[str, Cell], measured: Callable[[str], None], pytestconfig: pytest.Config
) -> None:
    count = pytestconfig.getoption("--innocents") or 100
    poison = prepare(node, cells, count)
    started = time.monotonic()
    node.start()
    everything = {f"{queue}-{number}" for queue in cells for number in range(count)}
    deadly = set().union(*poison.values())

    def is_over() -> bool:
        dead = sum(waiting(node, f"{queue}.dead") for queue in cells)
        return dead >= len(deadly) and everything <= {each for each, _ in ledger(node)}

    wait_until(is_over, 300, "all have run, and those that end their process are dead letters")
    seconds = time.monotonic() - started
    runs = ledger(node)
    often = Counter(each for each, _ in runs)
    found = letters(node)
    assert {each["id"] for each in found} == deadly
    assert {each["reason"] for each in found} == {"crashes"}
    assert max(often[each] for each in deadly) <= MOST_DEATHS + 1
    fatal = {pid for each, pid in runs if each in deadly}
    twice = {each: [pid for other, pid in runs if other == each] for each in everything - deadly if often[each] > 1}
    # Only what ran beside poison, or had just ended and was not acked, runs again.
    assert all(set(pids[:-1]) <= fatal for pids in twice.values()), twice
    cell = next(iter(cells.values()))
    figures = [cell.pool, cell.concurrency, cell.prefetch, cell.poison, max(often[each] for each in deadly), len(twice)]
    if len(cells) == 1:
        measured(" | ".join(map(str, [*figures, 0, f"{seconds:.0f} s"])))
