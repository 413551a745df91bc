"""Celery's user guide, row by row, as docs/user-guide.md has it: played on RabbitMQ by contracts of two queues.

Each row is played by one of three fleets; with --whole-guide, as `make test-guide` has it, on each pool with each store.
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor

import pytest

from tests.guide.rows import cases, rows
from tests.guide.stage import ALL, FEW, Setting, play
from tests.rabbitmq import RabbitMQ
from tests.redis import Redis

ROWS = rows()
Plays = dict[Setting, "Future[dict[str, str]]"]


def test_each_row_has_a_case_and_each_case_a_row() -> None:
    assert sorted(row.key for row in ROWS) == sorted(cases())


def test_each_row_says_that_it_works_or_how_or_why_not() -> None:
    odd = [row.key for row in ROWS if not row.verdict.startswith(("works", "differently: ", "refused: "))]
    assert odd == []


def chosen(config: pytest.Config) -> list[tuple[Setting, str]]:
    """Return each row with each fleet that plays it."""
    if config.getoption("--whole-guide"):
        return [(setting, row.key) for setting in ALL for row in ROWS]
    return [(FEW[number % len(FEW)], row.key) for number, row in enumerate(ROWS)]


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "key" in metafunc.fixturenames:
        plays = chosen(metafunc.config)
        metafunc.parametrize(("setting", "key"), plays, ids=[f"{setting}-{key}" for setting, key in plays])


@pytest.fixture(scope="module")
def plays(
    request: pytest.FixtureRequest, broker: RabbitMQ, redis_server: Redis, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Plays]:
    keys: dict[Setting, list[str]] = {}
    for setting, key in chosen(request.config):
        keys.setdefault(setting, []).append(key)
    folder = tmp_path_factory.mktemp("guide")
    with ThreadPoolExecutor(len(FEW)) as stages:
        yield {
            setting: stages.submit(play, setting, its, folder / str(setting), broker, redis_server.url)
            for setting, its in keys.items()
        }


def test_a_row_is_true(plays: Plays, setting: Setting, key: str) -> None:
    outcome = plays[setting].result()[key]
    assert not outcome, outcome
