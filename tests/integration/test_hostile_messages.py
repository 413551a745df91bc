"""Messages of somebody who means harm: each is a dead letter, once, and costs none of those beside it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from tests.integration.crafting import SIGNATURE, Raw, encoded, good, plain
from tests.integration.hosted import Hosted
from tests.integration.hostile import Fuzz, is_good
from tests.integration.hostile_kinds import KINDS, message_of
from tests.integration.wire_broker import Delivery

POOLS = ("solo", "threads", "prefork")
GOOD = 1000
REASONS = ("Received invalid task message", "Rejected a message that can't be decoded", "Couldn't convert ETA")

Start = Callable[..., Hosted]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Starts workers that are killed afterwards: of messages, a pool and a prefetch."""
    started: list[Hosted] = []

    def start(messages: Sequence[Delivery], pool: str, prefetch: int) -> Hosted:
        folder = tmp_path / str(len(started))
        folder.mkdir()
        started.append(Hosted(folder, messages, pool, prefetch))
        return started[-1]

    yield start
    for each in started:
        each.close()


def mixed() -> tuple[list[Delivery], dict[int, str]]:
    """Return good messages with one of each kind among them, and the kinds by their places."""
    count = GOOD + len(KINDS)
    kinds = dict(zip(range(0, count, count // len(KINDS)), KINDS, strict=False))
    messages = [message_of(kinds[n], n) if n in kinds else good(n) for n in range(count)]
    return messages, kinds


@pytest.mark.parametrize("prefetch", [1, 10, 64])
@pytest.mark.parametrize("pool", POOLS)
def test_one_of_each_kind_is_rejected_once_and_each_good_one_beside_it_is_run_once(
    start: Start, pool: str, prefetch: int
) -> None:
    messages, kinds = mixed()
    worker = start(messages, pool, prefetch)
    worker.settle()
    assert worker.stop() == 0
    fate = worker.broker.fate
    assert {kinds.get(place, "good") for place in worker.rejected()} == {*KINDS}
    assert worker.noted("ran") == Counter(set(range(len(messages))) - set(kinds))
    assert set(fate.delivered.values()) == {1}
    assert sum(worker.log().count(reason) for reason in REASONS) == len(KINDS)


@pytest.mark.parametrize("pool", POOLS)
def test_however_deep_its_arguments_are_a_task_is_run_or_is_a_dead_letter(start: Start, pool: str) -> None:
    headers, properties, _ = plain(0)
    bodies = [Raw(b"[[%b1%b],{},{}]" % (b"[" * depth, b"]" * depth)) for depth in range(300, 1000, 5)]
    worker = start([encoded(n, headers, properties, body) for n, body in enumerate(bodies)], pool, 1)
    worker.settle()
    assert worker.stop() == 0
    ran = worker.noted("ran")
    assert worker.rejected() | {*ran} == {*range(len(bodies))}
    assert sum(ran.values()) + len(worker.rejected()) == len(bodies)


@pytest.mark.parametrize("pool", POOLS)
def test_a_task_is_run_although_one_of_the_same_id_has_expired(start: Start, pool: str) -> None:
    headers, properties, body = plain(0)
    expired = encoded(0, {**headers, "expires": "2001-01-01T00:00:00+00:00"}, properties, body)
    later = encoded(1, headers, properties, body)
    worker = start([expired, later], pool, 1)
    worker.settle()
    assert worker.stop() == 0
    assert (worker.noted("told"), worker.noted("ran")) == (Counter([0]), Counter([1]))


@pytest.mark.parametrize("pool", POOLS)
def test_a_task_with_a_workflow_is_run_and_sends_what_follows(start: Start, pool: str) -> None:
    headers, properties, body = plain(0)
    group = {**SIGNATURE, "task": "celery.group", "subtask_type": "group", "kwargs": {"tasks": [SIGNATURE, SIGNATURE]}}
    body[2] |= {"callbacks": [group], "errbacks": [SIGNATURE], "chain": [SIGNATURE, SIGNATURE]}
    worker = start([encoded(0, headers, properties, body)], pool, 1)
    worker.settle()
    assert worker.stop() == 0
    assert worker.sent() == 4  # two of the group, and the chain's, one after the other
    assert worker.rejected() == set()


@pytest.mark.fuzz
@pytest.mark.parametrize("pool", POOLS)
def test_whatever_is_sent_is_run_or_rejected_and_the_worker_lives(
    start: Start, pool: str, count: int, seed: int
) -> None:
    worker = start(Fuzz(seed, count), pool, 10)
    worker.settle()
    assert worker.stop() == 0
    ran, told, rejected = worker.noted("ran"), worker.noted("told"), worker.rejected()
    assert {*ran, *told, *rejected} == set(range(count))
    assert set(ran.values()) == {1}
    assert not (ran.keys() & rejected), "none is both run and a dead letter"
    assert not (ran.keys() & told.keys()), "none is both run and told of as not run"
    assert {number for number in range(count) if is_good(number)} <= ran.keys()
    assert worker.broker.fate.given_back == []
