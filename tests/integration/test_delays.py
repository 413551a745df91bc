"""Tasks that are to run later: held by the broker, not by a worker, and not lost there."""

from collections.abc import Iterator

import pytest

from celery_delivery.topology.delays import LEVELS, level
from tests.node import EACH_POOL, TASKS, Node
from tests.rabbitmq import RabbitMQ
from tests.truth import assert_well
from tests.waiting import wait_until

LATER = """
class Later(celery.Task):
    name = "later"

    def run(self, again):
        if again:
            with open(os.path.join(os.path.dirname(__file__), "retried"), "a") as file:
                file.write("once")
            raise self.retry(countdown=60)
        return "prompt"
"""


def messages(node: Node, queue: str) -> int:
    found = node.broker.queue(queue, node.vhost)
    return 0 if found is None else found.messages


def run(node: Node, **settings: str) -> None:
    node.configure("alpha", **settings)
    node.start()
    node.wait_until_consuming()


@pytest.fixture
def impatient(broker: RabbitMQ) -> Iterator[None]:
    """A broker that closes the channel of whoever keeps a message for more than two seconds."""
    set_env = "application:set_env(rabbit, {}, {})."
    broker.evaluate(set_env.format("consumer_timeout", 2000))
    broker.evaluate(set_env.format("channel_tick_interval", 500))
    yield
    broker.evaluate(set_env.format("consumer_timeout", 1_800_000))
    broker.evaluate(set_env.format("channel_tick_interval", 60_000))


@pytest.mark.rabbitmq_4
def test_a_delayed_task_keeps_nobody_waiting_and_runs_when_it_is_due(node: Node) -> None:
    run(node)
    code = """
import time
tomorrow = worker.apply_async(("return", "tomorrow"), countdown=86_400)
sent = time.time()
soon = worker.apply_async(("return", "soon"), countdown=2).get(timeout=60)
print(json.dumps([soon, time.time() - sent, tomorrow.ready()]))"""
    soon, seconds, is_ready = node.produce(code, "alpha")
    assert (soon, is_ready) == ("soon", False)
    assert seconds >= 2
    made = [number for number in range(LEVELS) if node.broker.queue(level(number), node.vhost) is not None]
    assert max(made) == 16, "of 65,536 s; no longer delay was asked for"


@pytest.mark.usefixtures("impatient")
def test_a_delay_longer_than_the_brokers_patience_is_no_matter_on_any_pool(node: Node) -> None:
    node.configure_pools(EACH_POOL)
    node.start()
    node.wait_until_consuming()
    code = "print(worker.apply_async(('return', 7), countdown=6).get(timeout=60))"
    assert node.produce_at_once(code, EACH_POOL) == dict.fromkeys(EACH_POOL, 7)
    assert "Connection to broker lost" not in node.log.read_text()
    assert {queue: node.queue(queue)["succeeded"] for queue in EACH_POOL} == dict.fromkeys(EACH_POOL, 1)


@pytest.mark.rabbitmq_4
@pytest.mark.parametrize("pool", ["solo", "threads", "prefork"])
def test_a_task_that_is_retried_runs_again_until_it_is_done(node: Node, pool: str) -> None:
    run(node, DEFAULTS__POOL=pool)
    assert node.send("alpha", "retry", 2) == 2
    seen = node.wait_for("alpha", lambda queue: queue["succeeded"] == 1, "has counted")
    assert (seen["retried"], seen["failed"]) == (2, 0)
    assert (messages(node, "alpha"), messages(node, "alpha.dead")) == (0, 0)


@pytest.mark.parametrize("countdown", [0, 1], ids=["sent at once", "sent with a delay"])
def test_a_retry_waits_in_the_broker_and_keeps_nobody_waiting(node: Node, countdown: int) -> None:
    (node.code / "greek.py").write_text(TASKS + LATER)
    run(node, DEFAULTS__POOL="solo", TASKS="greek:Later")
    code = f"""
retried = worker.apply_async((True,), countdown={countdown})
while retried.state != "RETRY" and not open({str(node.code / "retried")!r}, "a+").tell():
    import time; time.sleep(0.1)
print(json.dumps(worker.delay(False).get(timeout=60)))"""
    assert node.produce(code, "later") == "prompt"
    wait_until(lambda: messages(node, level(5)) == 1, 60, "the retry waits in the level of 32 seconds")
    assert messages(node, "later") == 0


@pytest.mark.parametrize("pool", ["solo", "threads", "prefork"])
def test_what_has_waited_in_the_broker_is_due_whatever_the_clocks_say(node: Node, pool: str) -> None:
    run(node, DEFAULTS__POOL=pool)
    code = """
import datetime
from celery_delivery.sending import producer

class Ahead(datetime.datetime):
    @classmethod
    def now(cls, zone=None):
        return datetime.datetime.now(zone) + datetime.timedelta(days=1)

producer.datetime = Ahead
worker.app.now = lambda: Ahead.now(datetime.UTC)
later = [worker.apply_async(("return", number), countdown=1) for number in range(2)]
print(json.dumps([result.get(timeout=60) for result in later]))"""
    assert node.produce(code, "alpha") == [0, 1]
    assert_well(node)
    assert node.log.read_text().count("The clock of this host is") == 1
    node.wait_for("alpha", lambda queue: "behind that of " in queue["clock"], "tells of the clocks")


@pytest.mark.parametrize("letters", [35, 125])
def test_a_delay_leads_to_a_queue_whatever_its_name(node: Node, letters: int) -> None:
    (node.code / "greek.py").write_text(f"{TASKS}\nAlpha.name = {'д' * letters!r}\n")
    run(node)
    assert node.produce("print(worker.apply_async(('return', 7), countdown=1).get(timeout=60))", "alpha") == 7
    assert_well(node)


@pytest.mark.rabbitmq_4
def test_delayed_tasks_survive_the_brokers_death(node: Node, broker: RabbitMQ) -> None:
    code = """
for number in range(100):
    worker.apply_async(("return", number), countdown=24 + number % 4)
print(1)"""
    node.produce(code, "alpha")
    assert messages(node, level(4)) == 100
    broker.settle()
    broker.kill()
    broker.start()
    # A task that is due while the broker starts finds no bindings yet; the broker tries again after three minutes.
    wait_until(lambda: messages(node, "alpha") >= 100, 300, "all are due")


def test_a_task_that_expires_before_it_is_due_does_not_run(node: Node) -> None:
    run(node)
    code = """
import celery.exceptions
try:
    print(json.dumps(worker.apply_async(("return", 1), countdown=3, expires=1).get(timeout=60)))
except celery.exceptions.TaskRevokedError as error:
    print(json.dumps("revoked"))"""
    assert node.produce(code, "alpha") == "revoked"


def test_a_task_that_expires_while_it_waits_for_a_thread_does_not_run(node: Node) -> None:
    run(node, DEFAULTS__POOL="threads", DEFAULTS__CONCURRENCY="1", DEFAULTS__PREFETCH="3")
    file = node.code / "go"
    code = f"""
import os, time
first = worker.delay("wait for a file", {str(file)!r})
expiring, staying = [worker.apply_async(("return", 7), expires=seconds) for seconds in (2, 600)]
time.sleep(3)
open({str(file)!r}, "w").close()
print(json.dumps([str(each.get(timeout=60, propagate=False)) for each in (first, expiring, staying)]))"""
    assert node.produce(code, "alpha") == [str(file), "expired", "7"]
    seen = node.wait_for("alpha", lambda queue: queue["active_count"] == 0, "has ended")
    assert (seen["succeeded"], seen["failed"]) == (2, 0)
    assert_well(node)
