"""Heartbeats are for connections that have some, also where a broker of another kind takes over."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from celery_delivery.worker.heart import Heart

RABBITMQ = SimpleNamespace(supports_heartbeats=True, connection=SimpleNamespace(heartbeat=60))
REDIS = SimpleNamespace(supports_heartbeats=False, connection=SimpleNamespace())


def test_each_new_connection_is_asked_whether_it_has_some() -> None:
    heart, consumer, beating = Heart(), SimpleNamespace(connection=None), []

    def note(_request: Any) -> None:
        beating.append(heart._connection)

    run = heart.beating(consumer, note)
    for connection in (RABBITMQ, REDIS, RABBITMQ):
        consumer.connection = connection
        run("a request")
    assert beating == [RABBITMQ.connection, None, RABBITMQ.connection]
