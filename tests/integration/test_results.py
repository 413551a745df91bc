"""Where results go: to the sender, to Redis, into a database, or nowhere; on real servers."""

from pathlib import Path

import pytest
import redis

from tests import administration
from tests.node import Node
from tests.rabbitmq import RabbitMQ
from tests.redis import Redis
from tests.waiting import wait_until


@pytest.fixture
def backend(request: pytest.FixtureRequest, redis_server: Redis, tmp_path: Path) -> str:
    return redis_server.url if request.param == "redis" else f"db+sqlite:///{tmp_path}/results"


def run(node: Node, results: str, pool: str = "solo") -> None:
    node.variables["CELERY_TASKS_RESULTS"] = results
    node.configure("alpha", DEFAULTS__POOL=pool)
    node.start()
    node.wait_until_consuming()


def queues(node: Node) -> dict[str, int]:
    """Return the messages of each queue that is no task's."""
    found = administration.messages(node.broker, node.vhost)
    return {name: count for name, count in found.items() if name.startswith("replies.")}


@pytest.mark.parametrize("backend", ["redis", "database"], indirect=True)
@pytest.mark.parametrize("action", ["return", "fail"])
def test_a_kept_result_is_read_by_another_process_than_the_sender(node: Node, backend: str, action: str) -> None:
    run(node, backend)
    task_id = node.produce(f'print(json.dumps(worker.delay("{action}", 7).id))', "alpha")
    code = f"""
result = worker.AsyncResult({task_id!r})
result.get(timeout=60, propagate=False)
where = "".join(getattr(result.result, "__notes__", []))
print(json.dumps([result.status, str(result.result), "raise ValueError(value)" in where]))"""
    for _ in range(2):
        assert node.produce(code, "alpha") == (
            ["SUCCESS", "7", False] if action == "return" else ["FAILURE", "7", True]
        )
    assert queues(node) == {}


@pytest.mark.parametrize("backend", ["redis", "database"], indirect=True)
def test_a_kept_result_survives_the_brokers_death(node: Node, backend: str) -> None:
    run(node, backend)
    task_id = node.produce(
        'result = worker.delay("return", 7); result.get(timeout=60); print(json.dumps(result.id))', "alpha"
    )
    node.broker.settle()
    node.broker.kill()
    node.broker.start()
    assert node.produce(f"print(worker.AsyncResult({task_id!r}).get(timeout=60))", "alpha") == 7


@pytest.mark.rabbitmq_4
def test_a_producer_goes_on_reading_when_the_broker_is_back(node: Node) -> None:
    run(node, "rpc")
    code = """
import sys
print(worker.delay("return", 1).get(timeout=60), flush=True)
waiting = worker.delay("sleep", 5)
print("sent", flush=True)
sys.stdin.readline()
try:
    waiting.get(timeout=3)
except Exception as error:
    print(type(error).__name__, flush=True)
print(waiting.get(timeout=90), worker.apply_async(("return", 2), confirm_timeout=60).get(timeout=60), flush=True)"""
    with node.producing(code, "alpha") as producer:
        assert producer.stdout is not None
        assert producer.stdin is not None
        assert [producer.stdout.readline() for _ in range(2)] == ["1\n", "sent\n"]
        node.broker.settle()
        node.broker.kill()
        producer.stdin.write("\n")
        producer.stdin.flush()
        meanwhile = producer.stdout.readline()
        wait_until(
            lambda: "could not be stored" in node.log.read_text(), 60, "the worker has given up to send the result"
        )
        node.broker.start()
        assert (meanwhile, producer.stdout.readline()) == ("TimeoutError\n", "5 2\n")


def test_a_missing_right_to_read_results_is_an_error_at_once(node: Node) -> None:
    broker, vhost = node.broker, node.vhost
    administration.add_user(broker, "deaf", "deaf")
    administration.set_permissions(broker, vhost, "deaf", ".*", ".*", "^alpha")
    try:
        node.variables |= {"RABBITMQ_USER": "deaf", "RABBITMQ_PWD": "deaf"}
        code = """
try:
    worker.delay("return", 1).get(timeout=60)
except Exception as error:
    print(json.dumps([type(error).__name__, "refused for user 'deaf'" in str(error)]))"""
        assert node.produce(code, "alpha") == ["AccessRefused", True]
    finally:
        administration.delete_user(broker, "deaf")


def test_a_task_that_is_done_has_not_failed_because_the_broker_takes_no_result(node: Node, broker: RabbitMQ) -> None:
    run(node, "rpc", "prefork")
    node.send_and_leave("alpha", "sleep", 2)
    node.wait_for("alpha", lambda queue: queue["active_count"] == 1, "runs the task")
    broker.freeze()
    try:
        # For 10 s its process tries to connect; the main process notices in 20 s, and would have the task run again.
        wait_until(lambda: "could not be stored, and is lost" in node.log.read_text(), 60, "the result is lost")
    finally:
        broker.thaw()
    seen = node.wait_for("alpha", lambda queue: queue["succeeded"] + queue["failed"] == 1, "has run the task")
    assert seen["failed"] == 0


def test_a_task_that_returns_what_can_t_be_sent_has_failed(node: Node) -> None:
    run(node, "rpc")
    node.send_and_leave("alpha", "object")
    seen = node.wait_for("alpha", lambda queue: queue["succeeded"] + queue["failed"] == 1, "has run the task")
    assert seen["failed"] == 1


def test_results_in_redis_go_by_themselves(node: Node, redis_server: Redis) -> None:
    run(node, redis_server.url)
    task_id = node.produce(
        'result = worker.delay("return", 7); result.get(timeout=60); print(json.dumps(result.id))', "alpha"
    )
    with redis.Redis(port=redis_server.port) as client:
        assert 0 < client.ttl(f"celery-task-meta-{task_id}") <= 86_400


def test_without_results_nothing_is_kept_anywhere(node: Node) -> None:
    run(node, "off")
    node.send_and_leave("alpha", "return", 7)
    node.wait_for("alpha", lambda queue: queue["succeeded"] == 1, "has run the task")
    assert queues(node) == {}


@pytest.mark.rabbitmq_4
def test_replies_that_nobody_reads_are_bounded_and_go_with_their_queue(node: Node) -> None:
    run(node, "rpc")
    done = node.code / "done"
    code = f"""
import celery_delivery.results.replies, time
celery_delivery.results.replies.MOST_REPLIES = 5
worker.app.conf.result_expires = 3
for number in range(30):
    worker.delay("return", number)
open({str(done)!r}, "w")
while True: time.sleep(1)"""
    with node.producing(code, "alpha"):
        node.wait_for("alpha", lambda queue: queue["succeeded"] == 30, "has run all")
        assert max(queues(node).values(), default=0) <= 5
    wait_until(lambda: queues(node) == {}, 60, "the queue for the replies is gone")


def test_replies_to_one_process_share_one_queue_and_one_connection(node: Node) -> None:
    node.configure("alpha", "beta", "gamma", DEFAULTS__POOL="solo")
    node.start()
    node.wait_until_consuming()
    # By a process that has a connection, too.
    node.wait_for("alpha", lambda queue: queue["waiting"] is not None, "is watched")
    before = connections(node)
    ready, end = node.code / "ready", node.code / "end"
    code = f"""
import greek, os, time
from celery_tasks.utils import create_worker_from
for name in ("Alpha", "Beta", "Gamma"):
    assert create_worker_from(getattr(greek, name))[1].delay("return", name).get(timeout=60) == name
open({str(ready)!r}, "w")
while not os.path.exists({str(end)!r}): time.sleep(0.05)"""
    with node.producing(code, "alpha") as producer:
        wait_until(ready.exists, 90, "three results are there")
        # One sends, one reads: both for all three classes. The workers have one more each, for what they answer.
        assert connections(node) - before == 2 + 3
        assert len(queues(node)) == 1
        end.touch()
        assert producer.wait(60) == 0
    assert queues(node) == {}


def connections(node: Node) -> int:
    return administration.count_connections(node.broker, node.vhost)
