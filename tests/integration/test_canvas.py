"""Chains, groups, and both in one another, of one contract: the result is plain Celery's, in a producer and in a task."""

import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.node import Node
from tests.rabbitmq import RabbitMQ
from tests.redis import Redis
from tests.truth import assert_well, held_to_the_truth
from tests.waiting import wait_until

TASKS = """
import celery
from celery import chain, chord, group
from celery.result import allow_join_result
from celery_tasks.utils import create_worker_from

class Add(celery.Task):
    name = "add"

    def run(self, *numbers):
        flat = [each for given in numbers for each in (given if isinstance(given, list) else [given])]
        if min(flat) < 0:
            raise ValueError("negative")
        if flat[0] == 50:
            raise self.replace(self.s(1, 2))
        if flat[0] == 60:
            raise self.replace(chain(self.s(1), self.s(2)))
        if flat[0] == 70:
            raise self.replace(group(self.s(1), self.s(2, 3)))
        return sum(flat)

class Outer(celery.Task):
    name = "outer"

    def run(self, form):
        _, add = create_worker_from(Add)
        with allow_join_result():
            return outcome(add, form)

def outcome(add, form):
    names = {"s": add.s, "add": add, "chain": chain, "chord": chord, "group": group, "iterated": iterated, "kept": kept}
    try:
        return eval(form, names)
    except Exception as error:
        return f"{type(error).__name__}: {error}"

def iterated(sent):
    return [each.get(timeout=30) for each in sent]

def kept(sent):
    return [str(each) for each in sent.get(timeout=30, propagate=False)]
"""
GET = ".apply_async().get(timeout=30)"
GROUP_OF_CHAINS = "group(chain(s(number), s(10), s(100)) for number in range(3)).apply_async()"
# What is sent and asked for, and the outcome; each was compared with stock Celery 5.7.
FORMS = {
    f"chain(s(1), s(2), s(3)){GET}": 6,
    f"group(s(number) for number in range(3)){GET}": [0, 1, 2],
    f"{GROUP_OF_CHAINS}.get(timeout=30)": [110, 111, 112],
    f"{GROUP_OF_CHAINS}.join(timeout=30)": [110, 111, 112],
    f"iterated({GROUP_OF_CHAINS})": [110, 111, 112],
    f"group(group(s(1), chain(s(2), s(3))), s(4)){GET}": [1, 5, 4],  # Celery makes one group of both
    f"chain(s(1), group(s(2), chain(s(3), s(4)))){GET}": [3, 8],
    f"group(chain(s(1), group(s(2), s(3))), s(4)){GET}": [[3, 4], 4],
    f"add.starmap([(1, 2), (3, 4)]){GET}": [3, 7],
    f"add.chunks([(1, 2), (3, 4), (5, 6)], 2){GET}": [[3, 7], [11]],
    f"group(chain(s(-1), s(2)), s(3)){GET}": "ValueError: negative",
    "kept(group(chain(s(-1), s(2)), chain(s(3), s(4))).apply_async())": ["negative", "7"],
    "group(chain(s(1).set(countdown=60), s(2)), s(3)).apply_async().get(timeout=1)": "TimeoutError: The operation timed out.",
    # Stock Celery waits for ever for these: the results go to the worker.
    f"s(50){GET}": 3,
    f"s(60){GET}": 3,
    f"chain(s(60), s(3)){GET}": 6,
    # And for these: the groups are never sent.
    "kept(chain(s(-1), group(s(2), chain(s(3), s(4)))).apply_async())": ["negative", "negative"],
    f"group(chain(s(-1), group(s(2), s(3))), s(4)){GET}": "ValueError: negative",
}
CHORDS = ["chord([s(1), s(2)], s(3))", "group(s(1), s(2)) | s(3)", "group(chain(group(s(1), s(2)), s(3)), s(4))"]


@pytest.fixture(scope="module", params=["prefork", "threads", "solo"])
def running(
    request: pytest.FixtureRequest, broker: RabbitMQ, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Node]:
    yield from started(tmp_path_factory.mktemp("canvas"), broker, request.param)


def started(folder: Path, broker: RabbitMQ, pool: str, **variables: str) -> Iterator[Node]:
    node = Node(folder, broker, f"test-{uuid.uuid4().hex[:12]}")
    broker.add_vhost(node.vhost)
    (node.code / "canvas.py").write_text(TASKS)
    node.variables |= variables
    node.configure(TASKS="canvas:Add,canvas:Outer", DEFAULTS__POOL=pool)
    node.start()
    with held_to_the_truth(node):
        node.wait_until_consuming()
        yield node
    broker.delete_vhost(node.vhost)


def outcomes(node: Node, call: str, *forms: str) -> dict[str, object]:
    found: dict[str, object] = produced(node, f"print(json.dumps({{form: {call} for form in {forms!r}}}))")
    return found


def produced(node: Node, code: str) -> Any:
    tasks = "import canvas\n_, add = create_worker_from(canvas.Add)\n_, outer = create_worker_from(canvas.Outer)\n"
    return node.produce(f"{tasks}{code}", "alpha")


@pytest.mark.parametrize(
    "call", ["canvas.outcome(add, form)", "outer.delay(form).get(timeout=60)"], ids=["in a producer", "in a task"]
)
def test_results_are_those_of_plain_celery(running: Node, call: str) -> None:
    assert outcomes(running, call, *FORMS) == FORMS
    assert_well(running)


def test_a_chord_is_refused_at_the_call_with_what_can_keep_it(running: Node) -> None:
    told = outcomes(running, "canvas.outcome(add, form)", *(f"({each}).apply_async()" for each in CHORDS))
    for text in told.values():
        assert str(text).startswith(
            "WorkflowError: A chord, or a group with a step behind it, needs results in Redis or a database"
        )


def test_a_group_after_a_step_that_failed_has_failed_in_redis_too(
    broker: RabbitMQ, redis_server: Redis, tmp_path: Path
) -> None:
    for node in started(tmp_path, broker, "threads", CELERY_TASKS_RESULTS=redis_server.url):
        forms = [form for form in FORMS if "s(-1)" in form]
        assert outcomes(node, "canvas.outcome(add, form)", *forms) == {form: FORMS[form] for form in forms}


@pytest.fixture(scope="module", params=["redis", "database"])
def counting(
    request: pytest.FixtureRequest, broker: RabbitMQ, redis_server: Redis, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Node]:
    """A node whose results are kept where chords can be: in one that counts, and in one that `celery.chord_unlock` asks."""
    folder = tmp_path_factory.mktemp("chords")
    url = redis_server.url if request.param == "redis" else f"db+sqlite:///{folder}/results.sqlite"
    yield from started(folder, broker, "threads", CELERY_TASKS_RESULTS=url)


@pytest.mark.parametrize(
    "call", ["canvas.outcome(add, form)", "outer.delay(form).get(timeout=60)"], ids=["in a producer", "in a task"]
)
def test_chords_have_their_results_where_they_are_kept(counting: Node, call: str) -> None:
    forms = {
        f"({form}).apply_async().get(timeout=30)": outcome for form, outcome in zip(CHORDS, [6, 6, [6, 4]], strict=True)
    }
    forms[f"s(70){GET}"] = [1, 5]
    assert outcomes(counting, call, *forms) == forms


@pytest.mark.parametrize("counting", ["database"], indirect=True)
def test_a_chord_that_never_was_is_asked_for_each_second_and_not_for_ever(counting: Node) -> None:
    code = """
body, missing = add.s(1), [[["never", None], None]]
for retries in (0, 86_400):
    args, kwargs = ("none", dict(body)), {"interval": 0, "max_retries": 10**9, "result": missing}
    add.app.send_task("celery.chord_unlock", args, kwargs, retries=retries, task_id=f"after-{retries}")
print("null")"""
    produced(counting, code)
    wait_until(lambda: "chord_unlock[after-86400] raised unexpected" in counting.log.read_text(), 60, "it has ended")
    wait_until(
        lambda: counting.log.read_text().count("chord_unlock[after-0] retry: Retry in 1.0s") > 1, 60, "it goes on"
    )
