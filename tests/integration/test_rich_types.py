"""Dataclasses, pydantic models and what else JSON does not know, as arguments and results of contracts."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Any

import celery
import pydantic
import pytest

from celery_delivery.testing import StubBroker
from celery_tasks.utils import create_worker_from
from tests.node import ROOT, Node


@dataclass(frozen=True)
class Item:
    price: Decimal
    parts: tuple[Item, ...] = ()


class Order(pydantic.BaseModel):
    due: date
    items: list[str]


class PackTask(celery.Task):
    name = "pack"

    def run(self, item: Item, *, order: Order | None = None) -> Item:
        raise NotImplementedError


PackTask.run.__module__ = "celery_tasks.packing"  # as if it stood there: it is the contract


class Pack(PackTask):
    autoretry_for = (Exception,)

    def run(self, item: Item, *, order: Order | None = None) -> Any:
        if item.price == 0 and not self.request.retries:
            raise self.retry(countdown=0)
        if item.price < 0:
            return "nothing"
        assert order is None or isinstance(order, Order)
        return Item(item.price + len(order.items if order else ()), (item,))


ITEM = Item(Decimal("1.10"))
ORDER = Order(due=date(2026, 1, 1), items=["a", "b"])
PACKED = Item(Decimal("3.10"), (ITEM,))


@pytest.fixture
def pack() -> Any:
    with StubBroker() as broker:
        app, task = create_worker_from(Pack)

        def run(result: Any) -> Any:
            broker.work(app)
            return result.get(timeout=1)

        task.done = run
        yield task


def test_arguments_and_results_are_what_the_annotations_say(pack: Any) -> None:
    assert pack.done(pack.delay(ITEM, order=ORDER)) == PACKED
    assert pack.done(pack.delay({"price": "1.10"}, order={"due": "2026-01-01", "items": ["a", "b"]})) == PACKED
    assert pack.done(pack.delay(Item(Decimal(0)))) == Item(Decimal(0), (Item(Decimal(0)),))  # it is retried once
    assert pack.done((pack.s(ITEM, order=ORDER) | pack.s()).delay()) == Item(Decimal("3.10"), (PACKED,))
    assert pack.done(pack.app.send_task("pack", (ITEM,))).price == Decimal("1.10")
    assert pack.apply((ITEM,)).get() == pack(ITEM) == Item(Decimal("1.10"), (ITEM,))


@pytest.mark.parametrize("send", ["delay", "s", "si"])
def test_what_does_not_fit_is_refused_at_the_call(pack: Any, send: str) -> None:
    def call(*args: Any, **kwargs: Any) -> None:
        made = getattr(pack, send)(*args, **kwargs)
        if send != "delay":
            made.delay()

    with pytest.raises(TypeError, match=r"^pack: argument 'item' is 7, and must be Item$"):
        call(7)
    with pytest.raises(
        TypeError, match=r"^pack: argument 'order'\.items\[0\] does not suit Order: Input should be a valid string$"
    ):
        call(ITEM, order={"due": "2026-01-01", "items": [1]})
    with pytest.raises(TypeError, match="missing a required argument: 'item'"):
        call(order=ORDER)


def test_a_later_step_that_does_not_fit_is_refused_at_the_call(pack: Any) -> None:
    with pytest.raises(TypeError, match="argument 'order' is 7, and must be Order"):
        (pack.s(ITEM) | pack.s(order=7)).delay()


def test_what_a_task_returns_against_its_annotation_is_its_failure(pack: Any) -> None:
    with pytest.raises(TypeError, match="^pack: what it returns is 'nothing', and must be Item"):
        pack.done(pack.delay(Item(Decimal(-1))))


CONTRACTS = """
from __future__ import annotations
from dataclasses import dataclass
from decimal import Decimal
import celery
import pydantic

@dataclass
class Line:
    amount: Decimal
    note: str | None = None

class Bill(pydantic.BaseModel):
    lines: list[tuple[int, Decimal]]

def make(task_name):
    class Contract(celery.Task):
        name = task_name
        def run(self, lines: list[Line]) -> list[Line]: ...
    Contract.__name__ = Contract.__qualname__ = task_name.capitalize()
    return Contract

Alpha, Beta = map(make, ["alpha", "beta"])

class Gamma(celery.Task):
    name = "gamma"
    def run(self, lines: list[Line]) -> Bill: ...
"""

TASKS = """
from celery_tasks import lines as contracts

def add(self, lines):
    assert all(type(each) is contracts.Line for each in lines), lines
    return [*lines, contracts.Line(len(lines) + contracts.Decimal("0.5"), self.name)]

class Alpha(contracts.Alpha):
    run = add

class Beta(contracts.Beta):
    async def run(self, lines):
        return add(self, lines)

class Gamma(contracts.Gamma):
    def run(self, lines):
        return contracts.Bill(lines=[(place, each.amount) for place, each in enumerate(lines)])
"""


PRODUCER = """
import json
from decimal import Decimal
from celery_tasks.lines import Alpha, Bill, Line
from celery_tasks.utils import create_worker_from

app, alpha = create_worker_from(Alpha)
chain = alpha.s([Line(Decimal(7))]) | app.signature("beta") | app.signature("gamma")
bill = chain.delay().get(timeout=60)
assert type(bill) is Bill, bill
try:
    app.send_task("gamma", ([{"amount": "x"}],))
except TypeError as error:
    refused = str(error)
print(json.dumps([str(bill), refused]))
"""


def test_they_go_from_queue_to_queue_on_each_pool(node: Node) -> None:
    package = node.code / "celery_tasks"
    package.unlink()
    shutil.copytree(ROOT / "celery_tasks", package, ignore=shutil.ignore_patterns("__pycache__", "*.egg-info", "build"))
    (package / "lines.py").write_text(CONTRACTS)
    (node.code / "greek.py").write_text(TASKS)
    pools = {"QUEUES__alpha__POOL": "prefork", "QUEUES__beta__POOL": "threads", "QUEUES__gamma__POOL": "solo"}
    node.configure("alpha", "beta", "gamma", DEFAULTS__CONCURRENCY="1", **pools)
    node.start()
    node.wait_until_consuming()
    sent = subprocess.run(
        [sys.executable, "-c", PRODUCER],
        cwd=node.code,
        env=node.environment(**node.variables),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert sent.returncode == 0, sent.stderr
    bill, refused = json.loads(sent.stdout)
    assert bill == "lines=[(0, Decimal('7')), (1, Decimal('1.5')), (2, Decimal('2.5'))]"
    assert refused == "gamma: argument 'lines'[0].amount is 'x', and must be Decimal"
