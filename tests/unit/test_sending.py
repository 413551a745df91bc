"""What a producer is told, as values."""

import pickle

import pytest

from celery_delivery.errors import NotAccepted, SendError, Unconfirmed


@pytest.mark.parametrize("kind", [NotAccepted, Unconfirmed])
def test_an_error_of_a_task_that_sends_tasks_gets_out_of_the_pool(kind: type[SendError]) -> None:
    """A worker whose pool tells of an error that can't be unpickled ends, and its next one with the same task."""
    back = pickle.loads(pickle.dumps(kind("refused", "id")))  # noqa: S301 - our own
    assert (type(back), str(back), back.task_id) == (kind, "refused", "id")
