"""What a producer is told, as values."""

import pickle
from contextlib import ExitStack

import pytest

from celery_delivery.apps import create_app_from
from celery_delivery.errors import NotAccepted, SendError, Unconfirmed
from celery_tasks.tasks import SleepTask


@pytest.mark.parametrize("kind", [NotAccepted, Unconfirmed])
def test_an_error_of_a_task_that_sends_tasks_gets_out_of_the_pool(kind: type[SendError]) -> None:
    """A worker whose pool tells of an error that can't be unpickled ends, and its next one with the same task."""
    back = pickle.loads(pickle.dumps(kind("refused", "id")))  # noqa: S301 - our own
    assert (type(back), str(back), back.task_id) == (kind, "refused", "id")


def test_confirm_timeout_counts_for_the_wait_for_a_connection() -> None:
    app = create_app_from([SleepTask], "celery_tasks.celery_config")
    with ExitStack() as busy:
        for _ in range(app.producer_pool.limit):
            busy.enter_context(app.producer_pool.acquire())
        with pytest.raises(NotAccepted, match=r"all 10 connections were busy for 0\.1 s \(broker_pool_limit\)"):
            app.tasks["sleep"].apply_async((1,), confirm_timeout=0.1)
