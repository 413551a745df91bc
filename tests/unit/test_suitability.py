"""What the tasks of a queue ask for that its pool can't give."""

import celery
import pytest

from agent.guest.suitability import unsuited
from celery_delivery.contract.limits import time_limits


@pytest.mark.parametrize("pool", ["threads", "solo"])
def test_only_processes_can_be_ended_by_a_limit(pool: str) -> None:
    (told,) = unsuited(pool, ["Resize.time_limit is 60"], "uploads")
    assert told == (
        f"Resize.time_limit is 60, and nothing enforces it with POOL={pool}: the task runs on. Use POOL=prefork."
    )


@pytest.mark.parametrize("pool", ["threads", "solo"])
def test_a_queue_with_a_limit_of_its_own_has_those_of_its_classes_held_by_the_agent(pool: str) -> None:
    told = list(unsuited(pool, ["Resize.time_limit is 60", "Resize.soft_time_limit is 50"], "", 90))
    assert [text.partition(",")[0] for text in told] == ["Resize.soft_time_limit is 50"]


def test_threads_that_importing_has_started_are_missing_in_processes_only() -> None:
    (told,) = unsuited("prefork", ["Resize.time_limit is 60"], "uploads")
    assert told.startswith("importing its tasks starts threads (uploads), and the processes that run them have none")


def test_tasks_that_ask_for_nothing_suit_every_pool() -> None:
    assert [text for pool in ("prefork", "threads", "solo") for text in unsuited(pool, [], "")] == []


class Fetch(celery.Task):
    time_limit = 60

    async def run(self) -> None: ...


class Resize(celery.Task):
    soft_time_limit = 50

    def run(self) -> None: ...


SETTINGS = {"task_time_limit": 90, "task_soft_time_limit": None}


def test_the_limits_of_coroutines_need_no_process() -> None:
    assert time_limits(SETTINGS, [Fetch]) == ()
    assert time_limits(SETTINGS, [Fetch, Resize]) == ("task_time_limit is 90", "Resize.soft_time_limit is 50")
    assert time_limits(SETTINGS, []) == ("task_time_limit is 90",)
