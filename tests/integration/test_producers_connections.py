"""The connections of producers: whose broker they lead to, and what becomes of them where it does not answer."""

from __future__ import annotations

import errno
import threading
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import pytest

from celery_delivery.apps import create_app_from
from celery_tasks.tasks import SleepTask
from tests.integration.wire_broker import WireBroker
from tests.ports import HOST

DELETE, PUBLISH = (50, 40), (60, 40)  # queue.delete, basic.publish
PATIENCE = 0.3  # seconds for an answer


@pytest.fixture
def broker() -> Iterator[WireBroker]:
    broker = WireBroker(())
    yield broker
    broker.close()


def app_of(broker: WireBroker) -> Any:
    app = create_app_from([SleepTask], "celery_tasks.celery_config")
    app.conf.broker_url = f"rabbitmq://{HOST}:{broker.port}//"
    app.conf.broker_transport_options = {**app.conf.broker_transport_options, "read_timeout": PATIENCE}
    return app


@pytest.fixture
def app(broker: WireBroker) -> Any:
    """An app that has sent a task, so that it has a connection."""
    app = app_of(broker)
    app.tasks["sleep"].delay(1)
    return app


def test_each_app_of_a_process_sends_to_its_own_broker(broker: WireBroker, app: Any) -> None:
    other = WireBroker(())
    app_of(other).tasks["sleep"].delay(1)
    assert (broker.asked[PUBLISH], other.asked[PUBLISH]) == (1, 1)
    other.close()


def test_at_its_end_a_process_asks_it_once_and_hangs_up(broker: WireBroker, app: Any) -> None:
    broker.ignored.add(DELETE)
    with app.amqp.producer_pool.acquire() as producer:
        with pytest.raises(TimeoutError):
            producer.delete(["results"])
        assert not producer.connection.connected
    assert broker.asked[DELETE] == 1


def test_a_queue_is_deleted_over_a_new_connection_where_the_old_one_is_lost(broker: WireBroker, app: Any) -> None:
    with app.amqp.producer_pool.acquire() as producer:
        producer.connection.connection.transport.sock.close()
        producer.delete(["results"])
    assert broker.asked[DELETE] == 1


def test_a_queue_is_deleted_over_a_new_connection_where_the_system_gave_the_old_one_up(
    broker: WireBroker, app: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its TimeoutError is that of a link which was cut, not of a broker that is silent now."""
    with app.amqp.producer_pool.acquire() as producer:

        def given_up(*_: Any) -> None:
            raise TimeoutError(errno.ETIMEDOUT, "Connection timed out")

        monkeypatch.setattr(producer.connection.connection, "channel", given_up)
        producer.delete(["results"])
    assert broker.asked[DELETE] == 1


def test_no_thread_closes_a_connection_that_another_reads(app: Any) -> None:
    """Two that read one socket take each other's answers, and may wait for them without end."""
    with app.amqp.producer_pool.acquire() as producer:
        connection, turn = producer.connection, producer._results.turn

    def fail() -> None:
        with suppress(ValueError), app.amqp.producer_pool.acquire() as producer:
            assert producer.connection is connection
            raise ValueError

    thread = threading.Thread(target=fail)
    with turn:
        thread.start()
        thread.join(0.5)
        assert connection.connected
    thread.join()
    assert not connection.connected
