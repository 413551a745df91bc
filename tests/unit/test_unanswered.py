"""What looks after results that the broker has not answered for."""

import threading
from typing import Any

import pytest

from celery_delivery.sending import unanswered
from celery_delivery.sending.unanswered import Look


def test_the_end_of_a_process_waits_for_results_that_its_thread_is_writing_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(unanswered, "LOOK", 0.0)
    begun, ending, done = threading.Event(), threading.Event(), threading.Event()

    class Producer:
        def __init__(self, _connection: Any) -> None: ...

        def settle(self) -> bool:
            begun.set()
            ending.wait(10)
            done.set()
            return True

    look = Look()
    look.after("a connection", Producer)
    assert begun.wait(10)
    monkeypatch.setattr("time.sleep", lambda _: ending.set())  # what the end does between two looks
    look._last()
    assert done.is_set()
