"""What is above the broker's message limit: a result, a task, a retry. One caller is told, and nothing else is lost."""

import json
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from tests.node import Node
from tests.rabbitmq import RabbitMQ
from tests.truth import assert_well, held_to_the_truth
from tests.waiting import wait_until

LIMIT, ABOVE = 200_000, 300_000  # bytes
TASKS = """
import celery

class Alpha(celery.Task):
    name = "alpha"

    def run(self, action, size=0):
        text = "x" * size
        if action == "fail":
            raise ValueError(text)
        if action == "set state":
            self.update_state(state="PROGRESS", meta=text)
        if action == "send":
            self.delay("return", size)
            self.apply_async(("return",), {"size": text})
        if action == "retry":
            raise self.retry(args=("return", text), countdown=0)
        return text if action == "return" else action
"""
SENDING = """
def outcome(result):
    try:
        return len(result.get(timeout=60))
    except Exception as error:
        return f"{type(error).__name__}: {error}"
"""


@contextmanager
def limited(broker: RabbitMQ, limit: int) -> Iterator[None]:
    """Have channels that are opened meanwhile take no larger messages; each release looks in a place of its own."""
    before = broker.evaluate("{ok, Limit} = application:get_env(rabbit, max_message_size), Limit.")
    setting = "application:set_env(rabbit, max_message_size, {0}), persistent_term:put(max_message_size, {0})."
    broker.evaluate(setting.format(limit))
    try:
        yield
    finally:
        broker.evaluate(setting.format(before))


@pytest.fixture(scope="module", autouse=True)
def _limit(broker: RabbitMQ) -> Iterator[None]:
    with limited(broker, LIMIT):
        yield


@pytest.fixture(scope="module", params=["prefork", "threads", "solo"])
def running(
    request: pytest.FixtureRequest, broker: RabbitMQ, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Node]:
    """A node that runs, one for each pool."""
    node = Node(tmp_path_factory.mktemp("large"), broker, f"test-{uuid.uuid4().hex[:12]}")
    broker.add_vhost(node.vhost)
    (node.code / "greek.py").write_text(TASKS)
    node.configure("alpha", DEFAULTS__POOL=request.param)
    node.start()
    with held_to_the_truth(node):
        node.wait_until_consuming()
        yield node
    broker.delete_vhost(node.vhost)


def outcomes(node: Node, *tasks: tuple[Any, ...]) -> list[tuple[str, Any]]:
    """Return the id of each task, and the length of its result or what its caller is told."""
    code = f"{SENDING}\nsent = [worker.delay(*each) for each in {tasks!r}]\n"
    found = node.produce(f"{code}print(json.dumps([[each.id, outcome(each)] for each in sent]))", "alpha")
    return [(task_id, told) for task_id, told in found]


def failed(node: Node) -> int:
    return int(node.queue("alpha")["failed"])


@pytest.mark.parametrize(("action", "end"), [("return", "SUCCESS"), ("fail", "FAILURE")])
def test_a_result_above_the_limit_is_told_to_its_own_caller_and_no_other_is_lost(
    running: Node, action: str, end: str
) -> None:
    told = outcomes(running, ("return", 1), (action, ABOVE), ("return", 2), (action, ABOVE), ("return", 3))
    assert [each for _, each in told[::2]] == [1, 2, 3]
    for task_id, text in told[1::2]:
        assert text.startswith(f"ResultRefused: the task has ended with {end}, but the result of task {task_id}")
        assert f"larger than configured max size {LIMIT}" in text
        lines = [line for line in running.log.read_text().splitlines() if "is told this instead of its result" in line]
        assert sum(task_id in line for line in lines) == 1
    assert_well(running)
    wait_until(lambda: running.broker.messages("alpha", running.vhost) == 0, what="each is acked")


def test_a_state_above_the_limit_is_lost_alone_and_the_log_says_so(running: Node) -> None:
    (task_id, told), (_, other) = outcomes(running, ("set state", ABOVE), ("return", 2))
    assert (told, other) == (len("set state"), 2)
    assert f"PROGRESS of task {task_id} could not be stored, and is lost" in running.log.read_text()


@pytest.mark.parametrize("action", ["send", "retry"])
def test_a_task_that_sends_what_is_above_the_limit_has_failed_and_nothing_else(running: Node, action: str) -> None:
    before = failed(running)
    (_, one), (_, told), (_, two) = outcomes(running, ("return", 1), (action, ABOVE), ("return", 2))
    assert (one, two) == (1, 2)
    assert told.startswith("Refused: task alpha[")
    assert f"larger than configured max size {LIMIT}" in told
    running.wait_for("alpha", lambda queue: queue["failed"] == before + 1, "counts one failure")
    assert running.broker.messages("alpha.dead", running.vhost) == 0


def test_a_producer_is_told_of_a_task_above_the_limit_and_sends_the_next(node: Node) -> None:
    code = """
try:
    worker.delay("return", "x" * 300_000)
except worker.OperationalError as error:
    print(json.dumps([type(error).__name__, str(error), worker.delay("return", 2).id]))"""
    kind, text, sent = node.produce(code, "alpha")
    assert kind == "Refused"
    assert f"larger than configured max size {LIMIT}" in text
    assert node.task_ids("alpha") == [sent]


def test_of_a_batch_only_what_is_above_the_limit_is_refused_and_the_rest_is_sent_once(node: Node) -> None:
    code = """
from celery_delivery.batch import send_all
sent = send_all(worker.s("return", "x" * (300_000 if number % 10 == 7 else 1)) for number in range(300))
print(json.dumps([[each.task_id, each.fate.value, each.reason] for each in sent]))"""
    sent = node.produce(code, "alpha")
    assert [fate for _, fate, _ in sent] == ["refused" if number % 10 == 7 else "accepted" for number in range(300)]
    assert all("larger than configured max size" in reason for _, fate, reason in sent if fate == "refused")
    assert node.task_ids("alpha") == [task_id for task_id, fate, _ in sent if fate == "accepted"]


def test_what_is_sent_next_is_not_blamed_for_what_was_not_waited_for(node: Node, broker: RabbitMQ) -> None:
    """Where the limit is lower than anybody's, a refusal comes when the next message is already on its way."""
    log = node.code / "log"
    code = f"""
import logging
logging.basicConfig(filename={str(log)!r}, level="ERROR")
with worker.app.amqp.producer_pool.acquire() as producer:
    producer.publish("x" * 15_000, exchange="", routing_key="nobody", correlation_id="the-first", retry=True)
print(json.dumps([worker.delay("return", number).id for number in range(3)]))"""
    with limited(broker, 10_000):
        sent = node.produce(code, "alpha")
    assert node.task_ids("alpha") == sent
    assert "may be lost, of the tasks the-first: " in log.read_text()


def test_a_retry_that_the_broker_does_not_take_for_a_while_is_no_dead_letter(node: Node, broker: RabbitMQ) -> None:
    runs, go = node.code / "runs", node.code / "go"
    (node.code / "greek.py").write_text(f"""
import os, time
import celery

class Alpha(celery.Task):
    name = "alpha"

    def run(self):
        while not os.path.exists({str(go)!r}):
            time.sleep(0.05)
        with open({str(runs)!r}, "a") as file:
            file.write(f"{{self.request.retries}}\\n")
        if not self.request.retries:
            raise self.retry(countdown=0, confirm_timeout=4)
        return "done"
""")
    node.configure("alpha", DEFAULTS__POOL="prefork")
    node.start()
    node.wait_until_consuming()
    with node.producing("print(json.dumps(worker.delay().get(timeout=100)))", "alpha") as producer:
        assert producer.stdout is not None
        node.wait_for("alpha", lambda queue: queue["active_count"] == 1, "runs the task")
        broker.control("set_vm_memory_high_watermark", "absolute", "1")
        try:
            go.touch()
            wait_until(lambda: runs.exists() and runs.read_text() == "0\n0\n", 60, "the task is delivered again")
        finally:
            broker.control("set_vm_memory_high_watermark", "0.4")
        assert json.loads(producer.stdout.readline()) == "done"
    assert node.broker.messages("alpha.dead", node.vhost) == 0
