"""A task's priority is honoured by the broker, or refused by the producer."""

from __future__ import annotations

import pytest

from tests.node import Node

SENDING = """
def outcome(send):
    try:
        send()
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    return "accepted"

send = lambda value, **options: outcome(lambda: worker.apply_async(("return", value), **options))
"""


def is_4(node: Node) -> bool:
    return int(node.broker.control("version").strip().split(".")[0]) >= 4


@pytest.mark.rabbitmq_4
def test_a_priority_is_honoured_or_refused_at_the_call(node: Node) -> None:
    code = f"""{SENDING}
worker.priority = 9
by_class = send(5)
worker.priority = worker._exec_options = None
later = worker.si("return", 3).set(priority=9)
chained = outcome(lambda: (worker.si("return", 2) | later).delay())
told = [send(0), send(1, priority=9), chained, by_class, send(6, priority=1000), send(7, priority="high")]
read = []
with worker.app.connection_for_read() as connection:
    while message := connection.default_channel.basic_get("alpha", no_ack=True):
        read.append(json.loads(message.body)[0][1])
print(json.dumps([told, read]))"""
    told, read = node.produce(code, "alpha")
    plain, urgent, chained, by_class, *wrong = told
    assert plain == "accepted"
    assert all(each.startswith("PriorityError: ") and "a number from 0 to 255" in each for each in wrong)
    if is_4(node):
        assert (urgent, chained, by_class, read) == ("accepted", "accepted", "accepted", [5, 1, 2, 0])
        return
    refused = [urgent, chained, by_class]
    assert all(each.startswith("PriorityError: task alpha") and "has none in quorum queues" in each for each in refused)
    assert read == [0]


@pytest.mark.rabbitmq_4
def test_a_classic_queue_has_the_order_that_its_settings_give_it(node: Node) -> None:
    node.variables["CELERY_TASKS_DELIVERY"] = "article"
    code = """
worker.app.conf.task_queue_max_priority = 9
for value, priority in [(0, None), (1, 3), (2, 9)]:
    worker.apply_async(("return", value), priority=priority)
with worker.app.connection_for_read() as connection:
    channel = connection.default_channel
    print(json.dumps([json.loads(channel.basic_get("alpha", no_ack=True).body)[0][1] for _ in range(3)]))"""
    assert node.produce(code, "alpha") == [2, 1, 0]
