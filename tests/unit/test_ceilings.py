"""What a message asks for, beside the limits of a node."""

from types import SimpleNamespace
from typing import Any

import pytest
from celery.exceptions import InvalidTaskError

from celery_delivery.worker.ceilings import MOST_RETRIES, Ceilings, limits

NAN, INFINITE = float("nan"), float("inf")


@pytest.mark.parametrize(
    ("asked", "ceilings", "held"),
    [
        ((None, None), (60, 30), [None, None]),
        ((10, None), (60, None), [10, None]),
        ((10, 5), (60, 30), [10, 5]),
        ((10, None), (60, 30), [10, 10]),  # else it would begin after the soft one
        ((40, None), (60, 30), [40, None]),
        ((40, 35), (60, 30), [40, None]),
        ((60, 30), (60, 30), [None, None]),
        ((1e9, 1e9), (60, 30), [None, None]),
        ((1e9, 1e9), (60, None), [None, None]),
        ((1e9, 50), (60, None), [None, 50]),
        ((1e9, 1e9), (None, None), [1e9, None]),
        ((None, 1e9), (None, None), [None, 1e9]),
        ((0, -5), (60, 30), [None, None]),
        ((NAN, NAN), (60, 30), [None, None]),
        ((NAN, INFINITE), (None, None), [None, None]),
    ],
)
def test_the_lower_limit_holds(
    asked: tuple[float | None, float | None], ceilings: tuple[float | None, float | None], held: list[float | None]
) -> None:
    assert limits(*asked, *ceilings) == held


def message(**headers: Any) -> Any:
    return SimpleNamespace(headers={"task": "alpha", **headers})


def held(asked: Any, hard: float | None = None, soft: float | None = None) -> Any:
    given, task = message(timelimit=asked), SimpleNamespace(time_limit=hard, soft_time_limit=soft)
    Ceilings(60, 30).hold({"alpha": task}, given)
    return given.headers["timelimit"]


def test_a_task_s_own_limit_wins_over_the_worker_s_and_not_over_a_lower_one_that_is_asked_for() -> None:
    assert held([1e9, 1e9]) == [None, None]
    assert held([100, 20]) == [None, 20]
    assert held([100, 50], hard=3600, soft=1800) == [100, 50]
    assert held([1e9, 1e9], hard=3600, soft=1800) == [None, None]
    assert held([20, 10], hard=10, soft=5) == [None, None]
    assert held(None) is None
    assert held([None, None]) == [None, None]


@pytest.mark.parametrize("asked", [5, [1], [1, 2, 3], "60", ["1", "2"], {"hard": 1}, [[1], 2]])
def test_what_is_no_time_limit_is_no_task(asked: object) -> None:
    with pytest.raises(InvalidTaskError):
        held(asked)


@pytest.mark.parametrize("number", [-1, MOST_RETRIES + 1, 10**12, "1", 1.5, [1]])
def test_what_can_t_be_a_number_of_retries_is_no_task(number: object) -> None:
    with pytest.raises(InvalidTaskError):
        Ceilings(None, None).hold({}, message(retries=number))


@pytest.mark.parametrize("number", [None, 0, 1, MOST_RETRIES])
def test_a_number_of_retries_is_taken(number: object) -> None:
    Ceilings(None, None).hold({}, message(retries=number))
