"""A retry is sent before its state is told, so that the next try may have ended by then: its end is kept."""

from pathlib import Path

import celery
import pytest
from celery.app.task import Context
from celery.exceptions import Retry
from celery.states import FAILURE, PENDING, RETRY, SUCCESS

from celery_delivery.apps import create_app_from
from tests.redis import Redis


class Tried(celery.Task):
    name = "tried"

    def run(self) -> None: ...


@pytest.mark.parametrize("end", [SUCCESS, FAILURE])
@pytest.mark.parametrize("store", ["redis", "database"])
def test_a_retry_takes_no_end_away(redis_server: Redis, tmp_path: Path, store: str, end: str) -> None:
    app = create_app_from([Tried], "celery_tasks.celery_config")
    app.conf.result_backend = redis_server.url if store == "redis" else f"db+sqlite:///{tmp_path}/results.sqlite"
    name = f"late-{end}"
    app.backend.store_result(name, ValueError("first"), RETRY)
    assert app.AsyncResult(name).state == RETRY
    app.backend.store_result(name, ValueError("last") if end == FAILURE else 7, end)
    app.backend.store_result(name, ValueError("first"), RETRY)
    assert app.AsyncResult(name).state == end


@pytest.mark.parametrize("store", ["redis", "database"])
def test_a_retry_without_a_pause_is_not_told_since_the_next_try_may_end_first(
    redis_server: Redis, tmp_path: Path, store: str
) -> None:
    app = create_app_from([Tried], "celery_tasks.celery_config")
    app.conf.result_backend = redis_server.url if store == "redis" else f"db+sqlite:///{tmp_path}/results.sqlite"
    task = app.tasks["tried"]
    for pause, state in ((0, PENDING), (1, RETRY)):
        name = f"tried-after-{pause}"
        task.request_stack.push(Context(id=name, args=[], kwargs={}, called_directly=False, is_eager=True))
        with pytest.raises(Retry):
            task.retry(countdown=pause)
        app.backend.mark_as_retry(name, ValueError("first"), request=task.request)
        task.request_stack.pop()
        assert app.AsyncResult(name).state == state
