"""The shop of `examples/existing` with Redis as its broker: second class, and what is said of it holds."""

from __future__ import annotations

from collections import Counter
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

POISON = """
import os
from celery import Celery

app = Celery("proj", broker=os.environ["BROKER"])
app.conf.update(task_acks_late=True, task_reject_on_worker_lost=True, worker_prefetch_multiplier=4)
app.conf.broker_transport_options = {
    "visibility_timeout": 3, "unacked_restore_interval": 1, "unacked_restore_throttle": 1,  # seconds
}

@app.task
def note(path, number, is_deadly):
    with open(path, "a") as file:
        file.write(f"{number}\\n")
    if is_deadly:
        os.abort()
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


def runs(path: Path) -> Counter[str]:
    """Return how often each number stands in a file."""
    return Counter(path.read_text().split())


def is_set_aside(project: Project, pool: str) -> bool:
    """Say whether the log has the line that names the arguments of a pool's task."""
    lines = project.log.read_text().splitlines()
    return any("is not run again" in line and f"/{pool}'" in line for line in lines)


def test_a_task_that_ends_its_process_is_set_aside_and_all_others_run(
    tmp_path: Path, broker: RabbitMQ, vhost: str, server: Redis
) -> None:
    """What a process of a pool had comes again at once, what a worker had when Redis is looked into."""
    server.start()
    project = Project(tmp_path, broker, vhost)
    (project.code / "proj.py").write_text(POISON)
    project.variables["BROKER"] = server.url
    pools = ("solo", "prefork")
    project.configure(
        *(f"+{pool}" for pool in pools),
        **{f"QUEUES__{pool}__POOL": pool for pool in pools},
        QUEUES__solo__CONCURRENCY="1",
    )
    try:
        project.start()
        project.wait_until_consuming()
        project.python(
            f"""
from proj import note
value = [
    note.apply_async(({str(tmp_path)!r} + "/" + pool, number, number == 5), queue=pool).id
    for pool in {pools} for number in range(20)
]"""
        )
        everything = {str(number) for number in range(20)}
        for pool in pools:
            wait_until(lambda pool=pool: runs(tmp_path / pool).keys() == everything, 60, "all have run")  # type: ignore[misc]
            wait_until(lambda pool=pool: is_set_aside(project, pool), 100, "it is set aside")  # type: ignore[misc]
            assert 3 <= runs(tmp_path / pool)["5"] <= 4  # what waits for long on a busy machine comes twice
        with server.client() as client:
            wait_until(lambda: client.hlen("unacked") == 0, 30, "nothing is left of them")
            assert [client.llen(each) for each in pools] == [0, 0]
    finally:
        project.close()
