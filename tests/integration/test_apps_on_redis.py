"""The shop of `examples/existing` with Redis as its broker: second class, and what is said of it holds."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.projects import Project, Shop
from tests.rabbitmq import RabbitMQ
from tests.redis import Redis
from tests.waiting import wait_until

SLOW = """
import os, time
from celery import Celery

app = Celery("proj", broker=os.environ["BROKER"])

@app.task(name="slow", acks_late=True)
def slow(path):
    open(path, "a").close()
    time.sleep(600)
"""


@pytest.fixture
def server() -> Iterator[Redis]:
    """A Redis of this test's own, which is not started."""
    server = Redis()
    yield server
    server.close()


@pytest.fixture
def shop(tmp_path: Path, broker: RabbitMQ, vhost: str, server: Redis) -> Iterator[Shop]:
    """The shop's instance on that Redis, not started; what is left of it is ended afterwards."""
    shop = Shop(tmp_path, broker, vhost, server.url)
    shop.variables["SHOP_BROKER"] = server.url
    shop.configure()
    yield shop
    shop.close()


def total(shop: Shop) -> int:
    """Have the shop's report made, a chord, and return what it says."""
    code = "from shop.reports.tasks import total\nvalue = total.delay([1, 2]).get(timeout=30)"
    found: int = shop.python(code)
    return found


def test_a_project_waits_for_its_redis_and_outlives_a_restart_of_it(shop: Shop, server: Redis) -> None:
    shop.start()
    shop.wait_for("reports", lambda queue: queue["state"] == "connecting", "waits for its broker")
    server.start()
    shop.wait_until_consuming()
    assert total(shop) == 3
    before = shop.pids()
    server.stop()
    # While redis-py tries again by itself, for up to a minute, a worker is silent.
    shop.wait_for("reports", lambda queue: not queue["consuming"], "has no consumer any more")
    server.start()
    shop.wait_until_consuming()
    assert total(shop) == 3
    assert shop.pids() == before


def test_a_stop_gives_what_is_running_back_to_redis(
    tmp_path: Path, broker: RabbitMQ, vhost: str, server: Redis
) -> None:
    server.start()
    project = Project(tmp_path, broker, vhost)
    (project.code / "proj.py").write_text(SLOW)
    project.variables["BROKER"] = server.url
    project.configure(DEFAULTS__WARM_TIMEOUT="1")
    try:
        project.start()
        project.wait_until_consuming()
        path = tmp_path / "runs"
        project.python(f"from proj import slow\nvalue = [slow.delay({str(path)!r}).id for number in range(6)]")
        wait_until(path.exists, 30, "a task runs")
        assert project.stop() == 0
    finally:
        project.close()
    waiting = (
        "from proj import app\nwith app.connection() as found:\n    value = found.default_channel.client.llen('celery')"
    )
    assert project.python(waiting) == 6


def test_the_check_says_what_redis_may_lose_and_reaches_it(shop: Shop, server: Redis) -> None:
    said = shop.run("check", "shop").stdout
    assert f"{server.url} can't be reached: Error 111 connecting" in said
    assert "Nothing listens there: start the broker, or correct broker_url of the app." in said
    server.start()
    with server.client() as client:
        client.config_set("maxmemory-policy", "allkeys-lru")
    said = shop.run("check", "shop").stdout
    assert f"{server.url} accepts connections" in said
    assert f"{server.url} forgets tasks when its memory is full: its maxmemory-policy is allkeys-lru. Set it to" in said
    assert "Redis gives what is not acked for 3600 s to another worker (visibility_timeout): " in said
