"""A network and a broker that only the chaos suite is in."""

from collections.abc import Iterator

import pytest

from tests.chaos.network import Network
from tests.rabbitmq import RabbitMQ


@pytest.fixture(scope="module")
def network() -> Iterator[Network]:
    """A network that only these tests are in."""
    with Network() as entered:
        yield entered


@pytest.fixture(scope="module")
def broker_inside(network: Network) -> Iterator[RabbitMQ]:
    """A broker in that network."""
    node = RabbitMQ()
    try:
        node.start()
        yield node
    finally:
        node.close()
