"""What becomes of a task, and what its caller is told of it, are the same; and the log says it."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from celery_delivery.topology.queues import DELIVERY_LIMIT
from tests.node import Node
from tests.rabbitmq import RabbitMQ
from tests.truth import assert_well, held_to_the_truth
from tests.waiting import wait_until

pytestmark = pytest.mark.celery

EVERY_POOL = pytest.mark.parametrize("pool", ["prefork", "threads", "solo"])

GIVEN_BACK = """
import os, time
import celery
from celery.exceptions import Reject

class Alpha(celery.Task):
    name = "alpha"

    def run(self, what):
        note(what)
        match what:
            case "end the process":
                os._exit(3)
            case "outlast the limit":
                time.sleep(60)
            case "ask for another delivery":
                raise Reject("not now", requeue=True)
        return "done"

    def on_failure(self, exc, task_id, args, kwargs, einfo):
        note(f"{args[0]}: has failed, {self.request.id == task_id}")

def note(text):
    with open(os.environ["NOTES"], "a") as notes:
        notes.write(text + "\\n")
"""

ASK = """
def told(result):
    try:
        return result.get(timeout=60)
    except Exception as error:
        return f"{type(error).__name__}: {error}"

sent = {what: worker.delay(what) for what in WHAT}
print(json.dumps({what: [result.id, told(result)] for what, result in sent.items()}))
"""


SPENT = dict.fromkeys(
    ("ask for another delivery", "outlast the limit"),
    "delivered 6 times, as often as its queue allows, and given back each time",
) | {"end the process": "it was given back 5 times; its process ended while it ran here: "}


@EVERY_POOL
def test_what_does_not_come_to_an_end_is_told_once_when_it_is_a_dead_letter(
    node: Node, tmp_path: Path, pool: str
) -> None:
    last = {"ask for another delivery": "", "end the process": ""}  # why it was given back, where its worker lives on
    limits = {}
    if pool == "prefork":
        limits["DEFAULTS__TIME_LIMIT"] = "1"
        last = {
            "ask for another delivery": "reject requeue=True: not now",
            "end the process": "Worker exited prematurely: exitcode 3",  # though the limit may be over when it is noticed
            "outlast the limit": "TimeLimitExceeded(",
        }
    notes = tmp_path / "notes"
    (node.code / "greek.py").write_text(GIVEN_BACK)
    node.configure("alpha", DEFAULTS__POOL=pool, **limits)
    with node.producing(ASK.replace("WHAT", repr([*last, "return"])), "alpha") as producer:
        wait_until(lambda: node.broker.messages("alpha", node.vhost) == len(last) + 1, what="all are sent")
        for _ in range(DELIVERY_LIMIT - 1):
            give_back(node, "alpha")
        node.start(NOTES=str(notes))
        out, errors = producer.communicate(timeout=100)
    assert producer.returncode == 0, errors
    told: dict[str, tuple[str, str]] = json.loads(out)
    assert told["return"][1] == "done"
    log = node.log.read_text()
    for what, why in last.items():
        task_id, text = told[what]
        assert text.startswith(f"WorkerLostError: {SPENT[what]}")
        assert why in text
        assert any(f"Task alpha[{task_id}] {said}" in log for said in ("was delivered 6 times", "is not run again"))
    runs = Counter({"return": 1} | dict.fromkeys(last, 1) | {f"{what}: has failed, True": 1 for what in last})
    assert Counter(notes.read_text().splitlines()) == runs
    wait_until(lambda: node.broker.messages("alpha.dead", node.vhost) == len(last), what="they are dead letters")
    letters = json.loads(node.run("dead-letters", node.instance, "--json").stdout)["letters"]
    reasons = {told[what][0]: "crashes" if what == "end the process" else "deliveries" for what in last}
    assert {letter["id"]: letter["reason"] for letter in letters} == reasons
    assert node.task_ids("alpha") == []
    assert_well(node)


def give_back(node: Node, queue: str) -> None:
    """Have all of a queue's messages delivered once more than they were."""
    with node.broker.connect(node.vhost) as connection:
        channel = connection.channel()
        taken = list(iter(lambda: channel.basic_get(queue), None))
        for message in taken:
            channel.basic_reject(message.delivery_tag, requeue=True)
    wait_until(lambda: node.broker.messages(queue, node.vhost) == len(taken), what="all are back")


POOLS = {"alpha": "prefork", "beta": "threads", "gamma": "solo"}  # by queue
EXPIRES = 3  # seconds
EVERY_QUEUE = pytest.mark.parametrize("queue", POOLS)

RAISING = """
import os, time
import celery
from celery.exceptions import Ignore

def make(task_name):
    class Task(celery.Task):
        name = task_name
        acks_on_timeout = True
        autoretry_for = (ZeroDivisionError,)
        retry_kwargs = {"countdown": 0}
        max_retries = 2

        def run(self, what):
            match what:
                case "divide by zero, once more if need be" if not self.request.retries:
                    raise self.retry(max_retries=1, countdown=0)
                case "divide by zero" | "divide by zero, once more if need be":
                    raise ZeroDivisionError(f"run {self.request.retries + 1} times")
                case "outlast the limit":
                    time.sleep(60)
                case "wait for a result":
                    return self.AsyncResult("of nobody").get(timeout=30)
                case "ignore":
                    raise Ignore()
                case "wait for a file":
                    while not os.path.exists(os.environ["NOTES"] + ".go"):
                        time.sleep(0.05)
                case "note":
                    with open(os.environ["NOTES"], "a") as notes:
                        notes.write("noted\\n")
            return "done"
    return Task

Alpha, Beta, Gamma = map(make, ["alpha", "beta", "gamma"])
"""


@pytest.fixture(scope="module")
def pools(tmp_path_factory: pytest.TempPathFactory, broker: RabbitMQ) -> Iterator[Node]:
    """A node with a queue on each pool, whose tasks raise what they are told to."""
    broker.add_vhost("outcomes")
    node = Node(tmp_path_factory.mktemp("outcomes"), broker, "outcomes")
    (node.code / "greek.py").write_text(RAISING)
    node.configure(
        *POOLS,
        DEFAULTS__CONCURRENCY="1",
        QUEUES__alpha__PREFETCH="1000",
        **{f"QUEUES__{name}__POOL": pool for name, pool in POOLS.items()},
    )
    node.start(NOTES=str(node.code / "notes"))
    with held_to_the_truth(node):
        node.wait_until_consuming()
        yield node
    broker.delete_vhost("outcomes")


def told(node: Node, queue: str, *what: str) -> dict[str, str]:
    """Have a queue's tasks run one after another; return what their caller is told."""
    answers: dict[str, tuple[str, str]] = node.produce(ASK.replace("WHAT", repr(what)), queue)
    return {what: text for what, (_, text) in answers.items()}


@EVERY_QUEUE
def test_a_limit_of_retries_is_that_of_the_run_that_asks_for_it(pools: Node, queue: str) -> None:
    thrice = "ZeroDivisionError: run 3 times"
    assert told(pools, queue, "divide by zero, once more if need be") == {
        "divide by zero, once more if need be": thrice
    }
    assert told(pools, queue, "divide by zero") == {"divide by zero": thrice}


@EVERY_QUEUE
def test_a_task_that_waits_for_a_result_without_saying_so_fails_at_once(pools: Node, queue: str) -> None:
    answers = told(pools, queue, "wait for a result")
    assert answers["wait for a result"].startswith("RuntimeError: Never call result.get() within a task!")


@EVERY_QUEUE
def test_that_nobody_is_told_of_an_ignored_task_is_a_line_in_the_log(pools: Node, queue: str) -> None:
    task_id = pools.produce("print(json.dumps(worker.delay('ignore').id))", queue)
    line = f"Task {queue}[{task_id}] raised Ignore: whoever waits for its result is told nothing"
    wait_until(lambda: line in pools.log.read_text(), what="the log says so")


def test_a_time_limit_that_is_a_failure_is_told_once(pools: Node) -> None:
    sending = 'worker.apply_async((what,), time_limit=1, link_error=worker.si("note"))'
    answers = pools.produce(
        ASK.replace("WHAT", "['outlast the limit']").replace("worker.delay(what)", sending), "alpha"
    )
    assert answers["outlast the limit"][1] == "TimeLimitExceeded: TimeLimitExceeded(1,)"
    assert told(pools, "alpha", "return") == {"return": "done"}
    assert (pools.code / "notes").read_text() == "noted\n"
    assert (pools.task_ids("alpha"), pools.broker.messages("alpha.dead", pools.vhost)) == ([], 0)


@EVERY_QUEUE
def test_tasks_that_expired_while_they_waited_are_told_so_and_are_no_dead_letters(pools: Node, queue: str) -> None:
    """So many that the stock worker, which goes from one to the next by calls, runs out of stack (celery #6736)."""
    many = 700 if POOLS[queue] == "prefork" else 7
    go = pools.code / "notes.go"
    go.unlink(missing_ok=True)
    pid = pools.queue(queue)["pid"]
    sending = f"""
from celery_delivery.batch import send_all
first = worker.delay("wait for a file")
send_all([worker.s("return").set(expires={EXPIRES}, task_id=str(number)) for number in range({many})])
last = worker.delay("return")
print("sent", flush=True)
answers = [told(worker.AsyncResult(str(number))) for number in range({many})]
print(json.dumps([told(first), *sorted(set(answers)), told(last)]))
"""
    with pools.producing(ASK.partition("sent = ")[0] + sending, queue) as producer:
        assert producer.stdout is not None
        assert producer.stdout.readline() == "sent\n"
        over = time.monotonic() + EXPIRES
        if many > 7:
            wait_until(lambda: pools.broker.messages(queue, pools.vhost) == 0, what="the worker has them")
        wait_until(lambda: time.monotonic() > over, what="their time is over")
        go.touch()
        out, errors = producer.communicate(timeout=90)
    assert producer.returncode == 0, errors
    assert json.loads(out) == ["done", "TaskRevokedError: expired", "done"]
    assert (pools.broker.messages(f"{queue}.dead", pools.vhost), pools.queue(queue)["pid"]) == (0, pid)
    assert_well(pools)
