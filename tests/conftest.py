"""Fixtures that all tiers share."""

import uuid
from collections.abc import Iterator

import pytest

from tests.rabbitmq import RabbitMQ


@pytest.fixture(scope="session")
def broker() -> Iterator[RabbitMQ]:
    """One RabbitMQ node for the whole run; a test that stops it starts it again."""
    node = RabbitMQ()
    try:
        node.start()
        yield node
    finally:
        node.close()


@pytest.fixture
def vhost(broker: RabbitMQ) -> Iterator[str]:
    """The name of a vhost that only this test knows."""
    name = f"test-{uuid.uuid4().hex[:12]}"
    broker.add_vhost(name)
    yield name
    broker.control("delete_vhost", name)
