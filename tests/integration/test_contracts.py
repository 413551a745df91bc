"""What a contract makes safe, on a real broker."""

from __future__ import annotations

from pathlib import Path

from agent.errors import CONFIGURATION
from tests.article import QUEUE, ROOT, consuming, result
from tests.node import Node
from tests.rabbitmq import RabbitMQ
from tests.truth import assert_well
from tests.waiting import wait_until

CREATE = "from celery_tasks.tasks import MagicCeleryTask\nfrom celery_tasks.utils import create_worker_from\n"
PICKLED = """
class Trap:
    def __reduce__(self):
        return open, ({trap!r}, "w")

worker.apply_async((Trap(),), serializer="pickle", ignore_result=True)
print("null")
"""

ODD = """
import functools
import celery

def run(self, value):
    return f"{self.name} {value}"

class Object:
    def __init__(self, function):
        self.function = function

    def __call__(self, *args):
        return self.function(*args)

class Alpha(celery.Task):
    name = "alpha"
    run = lambda self, value: f"{self.name} {value}"

class Beta(celery.Task):
    name = "beta"
    run = functools.lru_cache(run)

class Gamma(celery.Task):
    name = "gamma"
    run = functools.partial(lambda name, value: f"{name} {value}", "gamma")

class Delta(celery.Task):
    name = "delta"
    run = functools.partialmethod(run)

class Epsilon(celery.Task):
    name = "epsilon"
    run = Object(run)
"""


def test_a_consumer_without_an_implementation_fails_its_tasks_and_says_why(
    broker: RabbitMQ, vhost: str, tmp_path: Path
) -> None:
    (tmp_path / "celery_tasks").symlink_to(ROOT / "celery_tasks")
    (tmp_path / "consumer.py").write_text(
        f"{CREATE}app, _ = create_worker_from(MagicCeleryTask)\napp.worker_main(['worker', '--pool', 'solo'])\n"
    )
    (tmp_path / "producer.py").write_text(
        f"{CREATE}_, worker = create_worker_from(MagicCeleryTask)\n"
        "try:\n    result = worker.delay(1, 2, 3).get(timeout=30)\n"
        "except NotImplementedError as error:\n    result = str(error)\n"
    )
    with consuming(broker, vhost, tmp_path, broker.variables(vhost)):
        said = result(tmp_path, broker.variables(vhost))
    assert said == (
        f"task {QUEUE!r} was run by its contract celery_tasks.tasks:MagicCeleryTask: "
        "the consumer must host a subclass that implements run"
    )


def test_wrong_arguments_never_reach_the_broker(node: Node) -> None:
    refused = node.produce(
        "try:\n    worker.delay('return', 1, 2)\nexcept TypeError as error:\n    print(json.dumps(str(error)))", "alpha"
    )
    assert refused == "alpha(action='return', value=None): too many positional arguments"
    assert node.broker.queue("alpha", node.vhost) is None


def test_a_pickled_task_is_refused_unread(node: Node, tmp_path: Path) -> None:
    node.configure("alpha", DEFAULTS__POOL="solo")
    node.start()
    node.wait_until_consuming()
    before = node.pids()
    trap = tmp_path / "sprung"
    node.produce(PICKLED.format(trap=str(trap)), "alpha")
    wait_until(
        lambda: "Refusing to deserialize untrusted content of type pickle" in node.log.read_text(), 60, "a refusal"
    )
    assert node.send("alpha", "return", 7) == 7
    assert node.pids() == before
    assert not trap.exists()


def test_a_result_that_is_no_json_fails_its_task_and_not_the_worker(node: Node) -> None:
    node.configure("alpha", DEFAULTS__POOL="solo")
    (node.code / "greek.py").write_text(
        "import celery\nclass Alpha(celery.Task):\n    name = 'alpha'\n    def run(self, value):\n"
        "        return value if value else object()\n"
    )
    node.start()
    node.wait_until_consuming()
    failure = node.produce(
        "failed = worker.delay(0)\nfailed.get(timeout=30, propagate=False)\n"
        "print(json.dumps([failed.status, str(failed.result)]))",
        "alpha",
    )
    assert failure[0] == "FAILURE"
    assert "JSON" in failure[1]
    assert node.send("alpha", 7) == 7


def test_a_run_that_is_no_function_runs_or_is_refused(node: Node) -> None:
    (node.code / "greek.py").write_text(ODD)
    node.configure("alpha", "beta", "gamma", "delta", DEFAULTS__POOL="solo")
    checked = node.run("check", node.instance)
    assert checked.returncode == 0, checked.stdout
    node.start()
    node.wait_until_consuming()
    before = node.pids()
    assert [node.send(queue, 2) for queue in before] == [f"{queue} 2" for queue in before]
    assert node.pids() == before
    assert_well(node)
    node.configure("alpha", "epsilon", DEFAULTS__POOL="solo")
    refused = node.run("check", node.instance)
    assert refused.returncode == CONFIGURATION
    assert "greek:Epsilon.run is 'Object', of which Python makes no method" in refused.stdout
