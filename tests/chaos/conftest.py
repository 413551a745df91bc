"""A network and a broker that only the chaos suite is in."""

from collections.abc import Iterator

import pytest

from tests.chaos.catalogue import POOLS
from tests.chaos.network import Network
from tests.rabbitmq import RabbitMQ


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Give a test that takes `ledger_of` the pools, and the count of tasks, of its short form or of its long one."""
    if "ledger_of" in metafunc.fixturenames:
        count = metafunc.config.getoption("--ledger")
        forms = [("prefork", 200)] if count is None else [(pool, count) for pool in POOLS]
        metafunc.parametrize("ledger_of", forms, ids=lambda form: form[0])


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
