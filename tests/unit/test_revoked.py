"""What a worker reads of the stream of revocations, whenever the broker delivers it."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from celery.worker import state

from celery_delivery.sending.revocation import Revocation, encode
from celery_delivery.worker.revoked import _Reader


class Hasty:
    """A channel whose broker delivers before it says that there is a consumer."""

    def __init__(self) -> None:
        self.callbacks: dict[str, Any] = {}
        self.acked: list[int] = []

    def basic_consume(self, _queue: str, tag: str, **_: Any) -> None:
        headers = {"x-stream-offset": 0}
        body = encode(Revocation(("an id",)))
        self.callbacks[tag](
            SimpleNamespace(channel=self, delivery_tag=1, body=body, properties={"application_headers": headers})
        )

    def basic_ack(self, delivery_tag: int) -> None:
        self.acked.append(delivery_tag)


def test_what_comes_before_the_broker_says_that_there_is_a_consumer_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    kept = type("Kept", (set,), {"maxlen": 10})()
    monkeypatch.setattr(state, "revoked", kept)
    channel = Hasty()
    _Reader(SimpleNamespace())._consume(channel)
    assert kept == {"an id"}
    assert channel.acked == [1]
