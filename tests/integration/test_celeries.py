"""CELERY_AGENT_PYTHON has another Celery than the agent's own: contracts and apps run on it, and nobody finds fault with it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.article import consuming, result
from tests.integration.test_article import lay_out
from tests.node import Node
from tests.projects import Shop
from tests.rabbitmq import RabbitMQ
from tests.redis import Redis
from tests.waiting import wait_until


@pytest.fixture
def shop(tmp_path: Path, broker: RabbitMQ, vhost: str, redis_server: Redis, interpreter: str) -> Iterator[Shop]:
    """The shop's instance, in an environment of its own, not started; what is left of it is ended afterwards."""
    shop = Shop(tmp_path, broker, vhost, redis_server.url, interpreter)
    yield shop
    shop.close()
    assert "agent-fault" not in shop.log.read_text()


def test_the_article_runs_as_printed(broker: RabbitMQ, vhost: str, tmp_path: Path, interpreter: str) -> None:
    lay_out(tmp_path)
    variables = broker.variables(vhost)
    with consuming(broker, vhost, tmp_path / "consumer", variables, interpreter) as log:
        assert result(tmp_path / "producer", variables, interpreter) == 6
    assert "The mend" not in log.read_text()


def test_an_agent_hosts_contracts(alpha: Node, interpreter: str) -> None:
    alpha.interpreter = interpreter
    alpha.configure("alpha", "beta")
    checked = alpha.run("check", "magic")
    assert checked.returncode == 0, checked.stdout
    assert "with which the agent is tested" not in checked.stdout
    alpha.start()
    alpha.wait_until_consuming()
    assert alpha.send("alpha", "return", 1) == 1
    assert alpha.send("beta", "retry", 1) == 1
    assert alpha.stop() == 0
    assert "The mend" not in alpha.log.read_text()


def test_an_agent_hosts_a_project_s_own_app(shop: Shop) -> None:
    shop.configure()
    shop.start()
    shop.wait_until_consuming()
    shop.python(
        "from shop.orders.models import Order\nfrom shop.orders.tasks import check_out\n"
        'order = Order.objects.create(article="book", amount=2)\ncheck_out(order.pk)\nvalue = order.pk'
    )
    wait_until(lambda: "mail paid" in shop.words(), 60, "the mail of the chain's end is sent")
    assert shop.stop() == 0
    assert "The mend" not in shop.log.read_text()
