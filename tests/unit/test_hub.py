"""Celery's event loop as the worker's own steps have mended it."""

import threading

import pytest
from kombu.asynchronous import Hub

from celery_delivery.worker.hub import WakeOnSignal

pytestmark = pytest.mark.celery


class Called(BaseException):
    """What another thread wanted to be called is called; no loop goes on after it."""


def test_a_loop_that_sleeps_is_woken_by_what_another_thread_has_to_be_called() -> None:
    hub, asleep, polls = Hub(), list[float](), threading.Event()
    WakeOnSignal(None).register_with_event_loop(None, hub)
    hub.call_later(1000, list)  # so long it would sleep, if kombu let it sleep for longer than 10 s
    poll = hub.poller.poll

    def noted(timeout: float) -> object:
        if timeout:
            polls.set()
        events = poll(timeout)
        if timeout and not events:
            asleep.append(timeout)
        return events

    def call() -> None:
        raise Called

    def call_soon() -> None:
        assert polls.wait(60)
        hub.call_soon(call)

    hub.poller.poll = noted
    loop = hub.create_loop()
    next(loop)  # which finds out when the next call is due
    asleep.clear()
    thread = threading.Thread(target=call_soon)
    thread.start()
    try:
        with pytest.raises(Called):
            list(loop)
    finally:
        thread.join()
        hub.close()
    assert asleep == [], "no sleep has lasted to its end"
