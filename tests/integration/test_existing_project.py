"""A Django project with its own Celery app, unchanged, under the agent."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.projects import Shop
from tests.rabbitmq import RabbitMQ
from tests.redis import Redis
from tests.waiting import wait_until

pytestmark = pytest.mark.celery

BUY = """
from shop.orders.models import Order
from shop.orders.tasks import check_out
order = Order.objects.create(article="book", amount=2)
check_out(order.pk)
value = order.pk
"""
STATE = "from shop.orders.models import Order\nvalue = Order.objects.get(pk={order}).state"


@pytest.fixture
def shop(tmp_path: Path, broker: RabbitMQ, vhost: str, redis_server: Redis) -> Iterator[Shop]:
    """The shop's instance, not started; what is left of it is ended afterwards."""
    shop = Shop(tmp_path, broker, vhost, redis_server.url)
    yield shop
    shop.close()
    faults = [line for line in shop.log.read_text().splitlines() if "agent-fault" in line] if shop.log.exists() else []
    assert faults == [], "the agent did something wrong itself"


def test_a_django_project_s_tasks_are_done_over_all_of_its_queues(shop: Shop) -> None:
    shop.configure()
    shop.start()
    shop.wait_until_consuming()
    assert sorted(shop.pids()) == ["celery", "mail", "orders", "reports"]
    order = shop.python(BUY)
    wait_until(lambda: "mail paid" in shop.words(), 60, "the mail of the chain's end is sent")
    assert shop.python(STATE.format(order=order)) == "paid"
    words = shop.words()
    assert {"process", "prerun send_mail", "done price"} <= set(words), "signals and base classes are the project's"
    assert {f"ready {queue}" for queue in shop.pids()} <= set(words)


def test_a_chord_is_done_with_results_in_redis(shop: Shop) -> None:
    shop.configure()
    shop.start()
    shop.wait_until_consuming()
    shop.python(
        "from shop.orders.models import Order\n"
        "for article in ('pen', 'book'):\n"
        "    Order.objects.create(article=article, amount=1, price=7, state='paid')\n"
        "value = None"
    )
    code = (
        "from celery.result import AsyncResult\nfrom shop.reports.tasks import daily\n"
        "value = AsyncResult(daily.delay().get(timeout=30)).get(timeout=30)"
    )
    assert shop.python(code) == 14


def test_a_time_limit_of_a_task_s_own_is_enforced(shop: Shop) -> None:
    shop.configure("reports")
    shop.start()
    shop.wait_until_consuming()
    code = """
from shop.reports.tasks import hang
try:
    hang.delay().get(timeout=40)
except Exception as error:
    value = type(error).__name__
"""
    assert shop.python(code) == "TimeLimitExceeded"


def test_a_reload_replaces_the_worker_of_the_queue_that_changed_and_no_other(shop: Shop) -> None:
    shop.configure()
    shop.start()
    shop.wait_until_consuming()
    before = shop.pids()
    shop.configure(QUEUES__mail__CONCURRENCY="2")
    done = shop.run("reload", "shop", "--wait", "60")
    assert done.returncode == 0, done.stderr
    wait_until(lambda: shop.pids()["mail"] != before["mail"], 60, "mail has a new worker")
    after = shop.pids()
    assert {queue for queue in before if before[queue] != after[queue]} == {"mail"}


def test_a_preloaded_django_project_is_shared_by_its_workers_and_does_its_tasks(shop: Shop) -> None:
    shop.configure(PRELOAD="shop.celery")
    shop.start()
    shop.wait_until_consuming()
    order = shop.python(BUY)
    wait_until(lambda: "mail paid" in shop.words(), 60, "the mail of the chain's end is sent")
    assert shop.python(STATE.format(order=order)) == "paid"
