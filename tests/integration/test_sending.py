"""The producer's promise: what `.delay()` returned for, the broker has; everything else is an error, in time."""

import json
import re
from pathlib import Path

import pytest

from tests import administration
from tests.node import Node
from tests.rabbitmq import RabbitMQ
from tests.waiting import wait_until

# Tells what became of one task: "accepted", or the name of the error.
OUTCOME = """
def outcome(**options):
    try:
        worker.apply_async(("return", 1), **{"confirm_timeout": 60, **options})
    except Exception as error:
        return type(error).__name__
    return "accepted"
"""
FORKS = {
    "os.fork": "import os\npid = os.fork()\nif pid == 0:\n    child()\n    os._exit(0)\nos.waitpid(pid, 0)",
    "multiprocessing": "import multiprocessing\nprocess = multiprocessing.get_context('fork').Process(target=child)\n"
    "process.start()\nprocess.join()",
}


def connections(node: Node) -> list[str]:
    lines = node.broker.control("list_connections", "vhost", "name").splitlines()
    return [line.split("\t")[1] for line in lines if line.startswith(node.vhost)]


def settled(node: Node) -> None:
    """Make the queue, and have the broker remember it."""
    assert node.produce(f"{OUTCOME}\nprint(json.dumps(outcome()))", "alpha") == "accepted"
    node.broker.settle()


def test_what_was_accepted_survives_the_brokers_death(node: Node, broker: RabbitMQ, tmp_path: Path) -> None:
    settled(node)
    ledger = tmp_path / "ledger"
    with node.producing(
        f"""
import uuid
ledger = open({str(ledger)!r}, "a", buffering=1)
for _ in range(1500):
    task_id = str(uuid.uuid4())
    try:
        worker.apply_async(("return", 1), task_id=task_id, confirm_timeout=2)
        print("accepted", task_id, file=ledger)
    except worker.OperationalError:
        print("failed", task_id, file=ledger)
""",
        "alpha",
    ) as producer:
        wait_until(lambda: ledger.exists() and len(ledger.read_text().splitlines()) > 200, what="200 tasks are sent")
        broker.kill()
        broker.start()
        assert producer.wait(120) == 0
    lines = [line.split() for line in ledger.read_text().splitlines()]
    accepted = {task_id for fate, task_id in lines if fate == "accepted"}
    there = node.task_ids("alpha")
    assert accepted - set(there) == set()
    assert len(accepted) > 200
    # An attempt that was repeated has the same id as the first: there are none that nobody knows.
    assert len(set(there) - {task_id for _, task_id in lines}) == 1  # of settled()


@pytest.mark.parametrize(
    ("state", "error"),
    [("frozen before", "NotAccepted"), ("frozen while connected", "Unconfirmed"), ("away", "NotAccepted")],
)
def test_a_broker_that_does_not_answer_is_an_error(node: Node, broker: RabbitMQ, state: str, error: str) -> None:
    settled(node)
    go = node.code / "go"
    code = f"{OUTCOME}\nfirst = {state == 'frozen while connected'} and outcome()\nimport os, time\n"
    code += f"open({str(node.code / 'ready')!r}, 'w')\nwhile not os.path.exists({str(go)!r}): time.sleep(0.05)\n"
    code += f"open({str(node.code / 'outcome')!r}, 'w').write(outcome(confirm_timeout=3))"
    with node.producing(code, "alpha") as producer:
        wait_until((node.code / "ready").exists, what="the producer is ready")
        if state == "away":
            broker.stop()
        else:
            broker.freeze()
        try:
            go.touch()
            assert producer.wait(30) == 0
        finally:
            if state == "away":
                broker.start()
            else:
                broker.thaw()
    assert (node.code / "outcome").read_text() == error


def test_a_connection_that_was_lost_between_two_tasks_is_no_error(node: Node) -> None:
    code = f"""{OUTCOME}
import sys
before = outcome()
print("cut", flush=True)
sys.stdin.readline()
print(json.dumps([before, outcome(), outcome()]))"""
    with node.producing(code, "alpha") as producer:
        assert producer.stdout is not None
        assert producer.stdin is not None
        assert producer.stdout.readline() == "cut\n"
        administration.close_all_connections(node.broker, node.vhost)
        producer.stdin.write("\n")
        producer.stdin.flush()
        assert json.loads(producer.stdout.readline()) == ["accepted"] * 3


def test_a_task_that_no_queue_takes_is_an_error_and_the_next_is_accepted(node: Node) -> None:
    settled(node)
    code = f"""{OUTCOME}
from celery_tasks.utils import create_worker_from
before = outcome()
with worker.app.connection_for_write() as connection:
    connection.default_channel.queue_delete("alpha")
print(json.dumps([before, outcome(), outcome()]))"""
    assert node.produce(code, "alpha") == ["accepted", "NotAccepted", "accepted"]
    assert len(node.task_ids("alpha")) == 1


def test_a_queue_that_is_full_is_an_error(node: Node) -> None:
    node.broker.control("set_policy", "-p", node.vhost, "full", "^alpha$", '{"max-length": 3}', "--apply-to", "queues")
    outcomes = node.produce(f"{OUTCOME}\nprint(json.dumps([outcome(confirm_timeout=4) for _ in range(6)]))", "alpha")
    assert outcomes.count("accepted") == len(node.task_ids("alpha")) < 6
    assert set(outcomes) == {"accepted", "NotAccepted"}


def test_an_error_says_which_task_it_is_about_and_where_it_went(node: Node) -> None:
    node.broker.control("set_policy", "-p", node.vhost, "full", "^alpha$", '{"max-length": 1}', "--apply-to", "queues")
    code = """
try:
    for _ in range(5):
        worker.apply_async(("return", 1), task_id="my-id")
except worker.OperationalError as error:
    print(json.dumps([error.task_id, str(error)]))"""
    task_id, text = node.produce(code, "alpha")
    assert task_id == "my-id"
    assert re.search(r"task alpha\[my-id\] was not accepted by rabbitmq://guest:\*\*@127.0.0.1:\d+/test-.*full", text)


def test_task_classes_of_a_process_share_one_connection(node: Node) -> None:
    code = """
import greek, subprocess
from celery_tasks.utils import create_worker_from
for name in ("Alpha", "Beta", "Gamma", "Delta", "Epsilon"):
    create_worker_from(getattr(greek, name))[1].delay("return", 1)
open(READY, "w")
import time
while True: time.sleep(1)"""
    ready = node.code / "ready"
    with node.producing(code.replace("READY", repr(str(ready))), "alpha"):
        wait_until(ready.exists, what="five classes have sent")
        assert len(connections(node)) == 1


def test_threads_send_at_the_same_time_and_each_task_arrives_once(node: Node) -> None:
    code = """
import threading
accepted = []
def send():
    for _ in range(50):
        accepted.append(worker.delay("return", 1).id)
threads = [threading.Thread(target=send) for _ in range(8)]
for thread in threads: thread.start()
for thread in threads: thread.join()
print(json.dumps(accepted))"""
    accepted = node.produce(code, "alpha")
    assert len(accepted) == 400
    assert sorted(accepted) == sorted(node.task_ids("alpha"))


@pytest.mark.parametrize("fork", FORKS)
def test_a_forked_child_leaves_its_parents_connection_alone(node: Node, fork: str) -> None:
    node.configure("alpha")
    node.start()
    node.wait_until_consuming()
    report = node.code / "report"
    code = f"""
def name_of_connection():
    with worker.app.amqp.producer_pool.acquire() as producer:
        return producer.connection.connection.transport.sock.getsockname()[1]
def child():
    got = [worker.delay("return", number).get(timeout=30) for number in range(20)]
    open({str(report)!r}, "w").write(json.dumps([got, name_of_connection()]))
pending = worker.delay("return", "of the parent")
first = worker.delay("return", 1).get(timeout=30)
before = name_of_connection()
{FORKS[fork]}
print(json.dumps([first, before, name_of_connection(), pending.get(timeout=30), worker.delay("return", 2).get(timeout=30)]))"""
    first, before, after, pending, last = node.produce(code, "alpha")
    assert (first, pending, last) == (1, "of the parent", 2)
    assert before == after
    got, of_child = json.loads(report.read_text())
    assert got == list(range(20))
    assert of_child != before
