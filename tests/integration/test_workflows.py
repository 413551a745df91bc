"""Workflows between contracts of several queues, from a producer and from a task: the queue follows the task's name."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.integration.workflows import instances, outcomes, outcomes_in_a_task
from tests.node import Node
from tests.rabbitmq import RabbitMQ
from tests.redis import Redis

Call = Callable[..., dict[str, Any]]
FORMS = {
    "get(app.send_task('twice', (4,)))": 8,
    "get(s('twice', 4).delay())": 8,
    "get(s('negate', 4).delay())": -4,
    "get(s('twice', 4).set(queue='twice').delay())": 8,
    "get(s('twice', 4).apply_async(countdown=1))": 8,
    "get(chain(s('add', 1, 2), s('twice'), s('add', 10)).delay())": 16,
    "get(chain(s('twice', 1), s('twice').set(countdown=1), s('negate')).delay())": -4,
    "get(chain(s('add', 40), s('twice'), s('add', 1)).delay())": 81,
    "get(chain(s('add', 50), s('twice'), s('negate')).delay())": -100,
    "get(chain(s('add', 60), s('twice'), s('negate')).delay())": -6,
    "get(s('twice', 60).delay())": 6,
    "get(group(s('add', 1), s('twice', 2), s('negate', 3)).delay())": [1, 4, -3],
    "get(group(s('twice', number) for number in (1, 2, 3)).delay())": [2, 4, 6],
    "get(group(chain(s('add', 1), s('twice')), chain(s('twice', 2), s('negate'))).delay())": [2, -4],
    "get(chain(s('add', 1), group(s('twice'), s('negate'))).delay())": [2, -1],
    "get(chain(s('add', -1), s('twice')).delay())": "ValueError: negative",
    "get(s('twice', 1).apply_async(link=s('add', 1)))": 2,
    "noted(lambda: s('add', 1, 2).apply_async(link=s('note', file='FILE')), 'FILE')": "3",
    "noted(lambda: s('add', -1).apply_async(link_error=s('note', file='FILE')), 'FILE')": "its id",
    "noted(lambda: s('note', 'a', 'FILE').delay(), 'FILE')": "a",
    "noted(lambda: s('note', 'a', '/').apply_async(link_error=s('note', file='FILE')), 'FILE')": "its id",
    "get(starmap(s('twice'), [(1,), (2,)]).delay())": [2, 4],
    "get(chain(s('add', 1), starmap(s('twice'), [(1,), (2,)])).delay())": [2, 4],
    "get(chunks(s('twice'), [(1,), (2,), (3,)], 2).delay())": [[2, 4], [6]],
}
CHORDS = {
    "get(chord([s('add', 1), s('twice', 2)], s('add')).delay())": 5,
    "get((group(s('add', 1), s('twice', 2)) | s('add') | s('negate')).delay())": -5,
    "get(chord([s('twice', 1), s('twice', 2)], chain(s('add'), s('twice'))).delay())": 12,
    "get(chord([chain(s('add', 1), s('twice')), s('twice', 2)], s('add', 10)).delay())": 16,
    "get(chord([chord([s('twice', 1), s('add', 2)], s('add')), s('twice', 2)], s('add')).delay())": 8,
    "get(chain(s('add', 1), group(s('twice'), s('add', 2)), s('add')).delay())": 5,
    "get(chord([s('add', 1), s('twice', 2)])(s('add')))": 5,
    "get(chord(s('add', number) for number in (1, 2, 3))(s('add')))": 6,
    "get(chord([s('twice', 1)], group(s('add'), s('add', 1))).delay())": [2, 3],
    "get(chain(s('add', 70), s('twice'), s('add')).delay())": 5,
}
NEEDED = "A chord, or a group with a step behind it, needs results in Redis or a database, not in 'rpc://'"
REFUSED = {
    "s('twise', 1).delay()": "UnknownTask: There is no task 'twise'",
    "app.send_task('twise')": "UnknownTask: There is no task 'twise'",
    "chain(s('add', 1), s('twise')).delay()": "UnknownTask: There is no task 'twise'",
    "group(s('add', 1), s('add', 2), s('add', 3), s('twise')).delay()": "UnknownTask: There is no task 'twise'",
    "s('add', 1).apply_async(link=s('twise'))": "UnknownTask: There is no task 'twise'",
    "s('add', 1).apply_async(link_error=s('twise'))": "UnknownTask: There is no task 'twise'",
    "s('twice').delay()": "TypeError: twice(number): missing a required argument: 'number'",
    "chain(s('add', 1), s('twice', 3)).delay()": "TypeError: twice(number): too many positional arguments",
    "s('twice', 1).apply_async(queue='nowhere')": "there is no queue 'nowhere', and clients don't declare it",
    "chord([s('add', 1), s('twice', 2)], s('add')).delay()": f"WorkflowError: {NEEDED}",
    "chord([s('add', 1), s('twice', 2)])(s('add'))": f"WorkflowError: {NEEDED}",
    "(group(s('add', 1), s('twice', 2)) | s('add')).delay()": f"WorkflowError: {NEEDED}",
    "chain(s('add', 1), group(s('add'), s('twice')), s('add')).delay()": f"WorkflowError: {NEEDED}",
    "group(s('add', 1), s('add', 2), s('add', 3), group(s('add'), s('add')) | s('add')).delay()": f"WorkflowError: {NEEDED}",
}
SHORT = {form: right for form, right in FORMS.items() if "FILE" not in form}
POOLS = pytest.mark.parametrize("both", ["prefork", "threads", "solo"], indirect=True)


@pytest.fixture(scope="module")
def both(
    request: pytest.FixtureRequest, broker: RabbitMQ, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Node, Node]]:
    with instances(tmp_path_factory.mktemp("flows"), broker, request.param) as nodes:
        yield nodes


@POOLS
@pytest.mark.parametrize("call", [outcomes, outcomes_in_a_task], ids=["a producer", "a task"])
def test_the_queue_follows_the_name_and_results_arrive(both: tuple[Node, Node], tmp_path: Path, call: Call) -> None:
    forms = {form.replace("FILE", str(tmp_path / "note")): right for form, right in FORMS.items()}
    assert call(both[0], *forms) == forms


@POOLS
def test_what_can_t_be_sent_is_refused_at_the_call_and_nothing_is_sent(both: tuple[Node, Node]) -> None:
    before = done(both)
    for call in (outcomes, outcomes_in_a_task):
        told = call(both[0], *REFUSED)
        for form, right in REFUSED.items():
            assert right in str(told[form]), (form, told[form])
    assert done(both) == before


def done(nodes: tuple[Node, Node]) -> dict[str, int]:
    queues = [queue for node in nodes for queue in node.status()["queues"]]
    return {queue["queue"]: queue["succeeded"] + queue["failed"] for queue in queues if queue["queue"] != "outer"}


# With a database a chord looks once a second whether it is done: a minute for each pool. The guide's rows have them all.
@pytest.mark.parametrize(
    ("store", "pool"), [("redis", "prefork"), ("redis", "threads"), ("redis", "solo"), ("database", "threads")]
)
def test_chords_over_several_queues_are_counted(
    broker: RabbitMQ, redis_server: Redis, tmp_path: Path, pool: str, store: str
) -> None:
    url = redis_server.url if store == "redis" else f"db+sqlite:///{tmp_path}/results.db"
    with instances(tmp_path, broker, pool, CELERY_TASKS_RESULTS=url) as nodes:
        assert outcomes_in_a_task(nodes[0], *CHORDS) == CHORDS
        forms = CHORDS | SHORT if pool == "threads" else CHORDS
        assert outcomes(nodes[0], *forms) == forms


def test_the_queue_follows_the_name_with_the_profile_article(
    broker: RabbitMQ, redis_server: Redis, tmp_path: Path
) -> None:
    settings = {"CELERY_TASKS_DELIVERY": "article", "CELERY_TASKS_RESULTS": redis_server.url}
    with instances(tmp_path, broker, "threads", **settings) as nodes:
        assert outcomes(nodes[0], *SHORT, *CHORDS) == SHORT | CHORDS
        told = outcomes(nodes[0], "s('twise', 1).delay()", "chain(s('add', 1), s('twise')).delay()")
        assert all(str(text).startswith("UnknownTask: There is no task 'twise'") for text in told.values())
