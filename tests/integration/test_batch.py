"""Many tasks at once: what became of each is known, whatever happens meanwhile."""

import json
from collections import Counter

from tests.node import Node
from tests.rabbitmq import RabbitMQ
from tests.waiting import wait_until

START = "from celery_delivery.batch import Fate, send_all\n"
SENT = "print(json.dumps([[each.task_id, each.fate.value, each.reason] for each in sent]))"


def test_all_of_a_batch_arrive_once_and_in_order(node: Node) -> None:
    sent = node.produce(
        f'{START}sent = send_all(worker.s("return", number) for number in range(2500))\n{SENT}', "alpha"
    )
    assert Counter(fate for _, fate, _ in sent) == {"accepted": 2500}
    assert [task_id for task_id, _, _ in sent] == node.task_ids("alpha")


def test_results_of_a_batch_come_back(node: Node) -> None:
    node.configure("alpha", DEFAULTS__POOL="solo")
    node.start()
    node.wait_until_consuming()
    code = f"""{START}
sent = send_all([worker.s("return", number) for number in range(50)])
print(json.dumps([worker.AsyncResult(each.task_id).get(timeout=60) for each in sent]))"""
    assert node.produce(code, "alpha") == list(range(50))


def test_what_a_full_queue_refuses_is_told_from_what_it_took(node: Node) -> None:
    node.broker.control(
        "set_policy", "-p", node.vhost, "full", "^alpha$", '{"max-length": 100}', "--apply-to", "queues"
    )
    code = f'{START}sent = send_all((worker.s("return", n) for n in range(600)), confirm_timeout=20)\n{SENT}'
    sent = node.produce(code, "alpha")
    accepted = {task_id for task_id, fate, _ in sent if fate == "accepted"}
    assert accepted == set(node.task_ids("alpha"))
    assert 100 <= len(accepted) < 600
    assert {(fate, "full" in reason) for _, fate, reason in sent} == {("accepted", False), ("refused", True)}


def test_a_batch_survives_the_brokers_death(node: Node, broker: RabbitMQ) -> None:
    node.produce("worker.delay('return', 0)\nprint(1)", "alpha")
    broker.settle()
    started = node.code / "started"
    code = f"""{START}
open({str(started)!r}, "w")
sent = [each for n in range(8) for each in send_all((worker.s("return", n) for _ in range(1000)), confirm_timeout=60)]
open({str(node.code / "sent")!r}, "w").write(json.dumps([[each.task_id, each.fate.value] for each in sent]))"""
    with node.producing(code, "alpha") as producer:
        wait_until(started.exists, what="the batches begin")
        wait_until(lambda: (queue := broker.queue("alpha", node.vhost)) and queue.messages > 500, what="some are there")
        broker.kill()
        broker.start()
        assert producer.wait(200) == 0
    sent = json.loads((node.code / "sent").read_text())
    assert len(sent) == 8000
    there = set(node.task_ids("alpha"))
    assert {task_id for task_id, fate in sent if fate == "accepted"} - there == set()
    assert there & {task_id for task_id, fate in sent if fate == "refused"} == set()


def test_a_frozen_broker_leaves_the_fate_of_a_batch_unknown(node: Node, broker: RabbitMQ) -> None:
    ready, go = node.code / "ready", node.code / "go"
    code = f"""{START}
import os, time
worker.delay("return", 0)
open({str(ready)!r}, "w")
while not os.path.exists({str(go)!r}): time.sleep(0.05)
sent = send_all((worker.s("return", number) for number in range(20)), confirm_timeout=3)
open({str(node.code / "fates")!r}, "w").write(" ".join(sorted({{each.fate.value for each in sent}})))"""
    with node.producing(code, "alpha") as producer:
        wait_until(ready.exists, what="the producer is ready")
        broker.freeze()
        try:
            go.touch()
            assert producer.wait(60) == 0
        finally:
            broker.thaw()
    assert (node.code / "fates").read_text() == "unknown"


def test_nothing_is_sent_where_one_of_a_batch_has_wrong_arguments(node: Node) -> None:
    code = f"""{START}
try:
    send_all([worker.s("return", 1), worker.s("return", 1, 2)])
except TypeError as error:
    print(json.dumps("TypeError"))"""
    assert node.produce(code, "alpha") == "TypeError"
    assert node.broker.queue("alpha", node.vhost) is None


def test_a_batch_is_not_for_settings_that_promise_nothing(node: Node) -> None:
    node.variables["CELERY_TASKS_DELIVERY"] = "article"
    code = f"""{START}
try:
    send_all([worker.s("return", 1)])
except ValueError as error:
    print(json.dumps(str(error)))"""
    assert "CELERY_TASKS_DELIVERY=safe" in node.produce(code, "alpha")
