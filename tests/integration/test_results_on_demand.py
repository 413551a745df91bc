"""Redis is asked for what a producer waits for, and for nothing else: sending needs none."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from tests.node import Node
from tests.redis import Redis


@pytest.fixture
def server() -> Iterator[Redis]:
    """A Redis that has not been started, and may be stopped."""
    made = Redis()
    yield made
    made.close()


def test_tasks_are_sent_while_redis_is_away_and_their_results_got_when_it_is_back(node: Node, server: Redis) -> None:
    node.variables["CELERY_TASKS_RESULTS"] = server.url
    code = """
import sys, celery
sent = worker.delay("return", 1)
pair = celery.group(worker.s("return", n) for n in (2, 3)).apply_async()
def tried(get):
    try:
        return get()
    except Exception as error:
        return type(error).__name__
print(json.dumps([sent.id, *(each.id for each in pair)]), flush=True)
print(tried(lambda: sent.get(timeout=2)), flush=True)
sys.stdin.readline()
print(sent.get(timeout=60), pair.get(timeout=60), flush=True)
waiting = worker.delay("wait for a file", sys.stdin.readline().strip())
sys.stdin.readline()
print(waiting.get(timeout=60), flush=True)"""
    with node.producing(code, "alpha") as producer:
        assert producer.stdout is not None
        assert producer.stdin is not None
        ids = json.loads(producer.stdout.readline())
        assert node.task_ids("alpha") == ids
        assert producer.stdout.readline() == "ConnectionError\n"
        server.start()
        node.configure("alpha", DEFAULTS__POOL="solo")
        node.start()
        producer.stdin.write(f"\n{node.code}/go\n")
        producer.stdin.flush()
        assert producer.stdout.readline() == "1 [2, 3]\n"
        server.stop()
        server.start()
        (node.code / "go").touch()
        producer.stdin.write("\n")
        producer.stdin.flush()
        assert producer.stdout.readline() == f"{node.code}/go\n"


def test_redis_tells_of_nothing_that_nobody_waits_for(node: Node, redis_server: Redis) -> None:
    node.variables["CELERY_TASKS_RESULTS"] = redis_server.url
    node.configure("alpha", DEFAULTS__POOL="solo")
    node.start()
    code = """
import redis, time
client = redis.Redis.from_url(worker.app.conf.result_backend)
others = set(client.pubsub_channels("celery-task-meta-*"))  # of tests before
channels = lambda: len(set(client.pubsub_channels("celery-task-meta-*")) - others)
results = [worker.delay("return", n) for n in range(200)]
before = channels()
last = results[-1].get(timeout=60)  # all of them are there, then
early = [result.get(timeout=60) for result in results[:3]]
buffered = sum(map(len, worker.backend._pending_messages.values()))
late = worker.delay("sleep", 1).get(timeout=60)
print(json.dumps([before, last, early, late, channels(), buffered]))"""
    assert node.produce(code, "alpha") == [0, 199, [0, 1, 2], 1, 0, 0]


def test_what_is_told_again_of_a_task_that_nobody_waits_for_is_not_kept(node: Node, redis_server: Redis) -> None:
    node.variables["CELERY_TASKS_RESULTS"] = redis_server.url
    code = """
told = {"task_id": "late", "status": "SUCCESS", "result": 1, "children": [], "traceback": None}
worker.backend.result_consumer.on_state_change(told, None)
print(json.dumps(sum(map(len, worker.backend._pending_messages.values()))))"""
    assert node.produce(code, "alpha") == 0


def test_a_database_that_is_away_keeps_no_task_from_being_sent(node: Node) -> None:
    node.variables["CELERY_TASKS_RESULTS"] = f"db+sqlite:///{node.code}/nowhere/results"
    task_id = node.produce("print(json.dumps(worker.delay('return', 1).id))", "alpha")
    assert node.task_ids("alpha") == [task_id]
