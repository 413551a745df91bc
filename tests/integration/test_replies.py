"""Results that come back through the broker: whose queue they come by, who may wait for them, and what is left of it."""

import json

import pytest

from tests import administration
from tests.node import Node
from tests.truth import assert_well
from tests.waiting import wait_until

POOLS = ["prefork", "threads", "solo"]
# Tasks of a second class, which send tasks of the first.
OUTER = """
import time
import celery
from celery.result import allow_join_result
import greek
from celery_tasks.utils import create_worker_from

class Outer(celery.Task):
    name = "outer"
    def run(self, how, value=None):
        _, alpha = create_worker_from(greek.Alpha)
        sent = alpha.delay("return", value)
        if how == "forget":
            return value
        time.sleep(1)  # the result is there before it is asked for
        with allow_join_result():
            return sent.get(timeout=10)
"""
ENDS = {
    "a script": "worker.delay('return', 1)",
    "threads": """
import threading
threads = [threading.Thread(target=worker.delay, args=("return", number)) for number in range(10)]
for thread in threads: thread.start()
for thread in threads: thread.join()""",
    "children of multiprocessing": """
import multiprocessing
context = multiprocessing.get_context("fork")
children = [context.Process(target=worker.delay, args=("return", number)) for number in range(5)]
for child in children: child.start()
for child in children: child.join()""",
    "a forked child that exits": """
import os, sys
worker.delay("return", 1)
if os.fork() == 0:
    worker.delay("return", 2)
    sys.exit()
os.wait()""",
    "a script whose connection was lost": """
worker.delay("return", 1)
with worker.app.amqp.producer_pool.acquire() as producer:
    producer.connection.connection.transport.sock.shutdown(2)""",
}


def queues(node: Node) -> list[str]:
    return [name for name in administration.messages(node.broker, node.vhost) if name.startswith("replies.")]


def run(node: Node, *queues: str, **settings: str) -> None:
    node.configure(*queues or ("alpha",), **settings)
    node.start()
    node.wait_until_consuming()


@pytest.mark.parametrize("kind", ENDS)
def test_a_producer_that_ends_leaves_no_queue_for_results(node: Node, kind: str) -> None:
    assert node.produce(f"{ENDS[kind]}\nprint(json.dumps('sent'))", "alpha") == "sent"
    assert queues(node) == []
    assert node.broker.messages("alpha", node.vhost) > 0


def test_threads_of_a_process_share_one_queue_for_results(node: Node) -> None:
    ready = node.code / "ready"
    code = f"{ENDS['threads']}\nopen({str(ready)!r}, 'w')\nimport time\nwhile True: time.sleep(1)"
    with node.producing(code, "alpha"):
        wait_until(ready.exists, what="ten threads have sent")
        assert len(queues(node)) == 1


@pytest.mark.parametrize("pool", POOLS)
def test_a_worker_that_ends_leaves_no_queue_for_results(node: Node, pool: str) -> None:
    (node.code / "outer.py").write_text(OUTER)
    run(node, TASKS="outer:Outer,greek:Alpha", DEFAULTS__POOL=pool)
    code = "import outer\n_, outer = create_worker_from(outer.Outer)\nprint(outer.delay('forget', 7).get(timeout=60))"
    assert node.produce(code, "alpha") == 7
    assert len(queues(node)) == 1
    assert node.stop() == 0
    assert queues(node) == []


@pytest.mark.parametrize("pool", POOLS)
def test_a_task_gets_the_result_of_one_that_it_sent_before(node: Node, pool: str) -> None:
    (node.code / "outer.py").write_text(OUTER)
    run(node, TASKS="outer:Outer,greek:Alpha", DEFAULTS__POOL=pool)
    code = "import outer\n_, outer = create_worker_from(outer.Outer)\nprint(outer.delay('get', 7).get(timeout=60))"
    assert node.produce(code, "alpha") == 7
    assert_well(node)


def test_a_task_sends_tasks_where_its_worker_has_no_right_to_a_queue_for_results(node: Node) -> None:
    (node.code / "outer.py").write_text(OUTER)
    broker, guest = node.broker, dict(node.variables)
    administration.add_user(broker, "narrow", "narrow")
    administration.set_permissions(broker, node.vhost, "narrow", "^(?!replies)", ".*", ".*")
    try:
        node.variables |= {"RABBITMQ_USER": "narrow", "RABBITMQ_PWD": "narrow"}
        run(node, TASKS="outer:Outer,greek:Alpha", DEFAULTS__POOL="solo")
        node.variables = guest
        code = (
            "import outer\n_, outer = create_worker_from(outer.Outer)\nprint(outer.delay('forget', 7).get(timeout=60))"
        )
        assert [node.produce(code, "alpha") for _ in range(2)] == [7, 7]
        node.wait_for("alpha", lambda queue: queue["succeeded"] == 2, "has run what was sent")
    finally:
        administration.delete_user(broker, "narrow")


def test_a_result_goes_to_no_queue_but_those_for_results(node: Node) -> None:
    run(node, "alpha", "beta", DEFAULTS__POOL="solo")
    send = "print(json.dumps(worker.apply_async(('return', 1), reply_to='beta.dead').id))"
    task_id = node.produce(send, "alpha")
    node.wait_for("alpha", lambda queue: queue["succeeded"] == 1, "has run it")
    assert (
        node.produce("print(worker.delay('return', 2).get(timeout=60))", "alpha") == 2
    )  # what came before has arrived
    look = (
        "with worker.app.connection_for_read() as link: print(json.dumps(str(link.channel().basic_get('beta.dead'))))"
    )
    assert node.produce(look, "alpha") == "None"
    line = f"The result of task {task_id} is dropped: reply_to is 'beta.dead', which is no queue for results."
    assert line in node.log.read_text()


def test_any_thread_gets_the_results_of_its_process(node: Node) -> None:
    run(node, DEFAULTS__POOL="threads", DEFAULTS__CONCURRENCY="4")
    code = """
from concurrent.futures import ThreadPoolExecutor
with ThreadPoolExecutor(10) as threads:
    sent = [worker.delay("return", number) for number in range(100)]
    of_main = list(threads.map(lambda result: result.get(timeout=30), sent))
    both = list(threads.map(lambda number: worker.delay("return", number).get(timeout=30), range(100)))
print(json.dumps([of_main, both]))"""
    assert node.produce(code, "alpha") == [list(range(100))] * 2


def test_threads_that_wait_in_vain_keep_their_timeouts(node: Node) -> None:
    code = """
import time
from concurrent.futures import ThreadPoolExecutor
def wait(result):
    began = time.monotonic()
    try:
        result.get(timeout=2)
    except Exception as error:
        return type(error).__name__, 1.9 < time.monotonic() - began < 20
with ThreadPoolExecutor(10) as threads:
    print(json.dumps(list(threads.map(wait, [worker.delay("return", number) for number in range(10)]))))"""
    assert node.produce(code, "alpha") == [["TimeoutError", True]] * 10


def test_groups_are_got_in_threads(node: Node) -> None:
    run(node, DEFAULTS__POOL="threads", DEFAULTS__CONCURRENCY="4")
    code = """
from celery import group
from concurrent.futures import ThreadPoolExecutor
def of_group(first):
    return group(worker.s("return", first + number) for number in range(10)).apply_async().get(timeout=30)
with ThreadPoolExecutor(10) as threads:
    print(json.dumps(list(threads.map(of_group, range(0, 100, 10)))))"""
    assert node.produce(code, "alpha") == [list(range(first, first + 10)) for first in range(0, 100, 10)]


def test_the_result_of_a_chain_comes_back(node: Node) -> None:
    run(node, DEFAULTS__POOL="prefork")
    code = """
from celery import chain
print(chain(worker.s("return", 1), worker.si("return", 2), worker.si("return", 3)).apply_async().get(timeout=20))"""
    assert node.produce(code, "alpha") == 3


def test_results_come_though_connections_are_lost_meanwhile(node: Node) -> None:
    run(node, DEFAULTS__POOL="prefork", DEFAULTS__CONCURRENCY="4")
    go = node.code / "go"
    code = f"""
import sys
from concurrent.futures import ThreadPoolExecutor
first = worker.delay("return", 0).get(timeout=30)
with ThreadPoolExecutor(10) as threads:
    waiting = [threads.submit(worker.delay("wait for a file", {str(go)!r}).get, timeout=90) for _ in range(3)]
    print("waiting", flush=True)
    sys.stdin.readline()
    waiting.append(threads.submit(worker.delay("return", "later").get, timeout=90))
    print(waiting[-1].result(), flush=True)
    print(json.dumps([each.result() for each in waiting[:-1]]), flush=True)"""
    with node.producing(code, "alpha") as producer:
        assert producer.stdout is not None
        assert producer.stdin is not None
        assert producer.stdout.readline() == "waiting\n"
        administration.close_all_connections(node.broker, node.vhost)
        producer.stdin.write("\n")
        producer.stdin.flush()
        assert producer.stdout.readline() == "later\n"
        go.touch()
        assert json.loads(producer.stdout.readline()) == [str(go)] * 3
        assert producer.wait(30) == 0
    assert queues(node) == []


def test_the_result_of_what_a_link_calls_comes_to_who_has_sent_the_task(node: Node) -> None:
    run(node, DEFAULTS__POOL="prefork")
    code = """
result = worker.s("return", 1).apply_async(link=worker.si("return", 2))
first = result.get(timeout=60)
child, = result.children
print(json.dumps([first, child.get(timeout=60), [value for _, value in result.collect(timeout=60)]]))"""
    assert node.produce(code, "alpha") == [1, 2, [1, 2]]
