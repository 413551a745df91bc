"""Conditions that are provoked for real have their name, their remedy, and cost no task; `make health` plays them all."""

import pytest

from tests.health.conditions import CONDITIONS, SHORT, Condition
from tests.health.play import play
from tests.rabbitmq import RabbitMQ

_SHORT = [each for each in CONDITIONS if each.name in SHORT]


@pytest.mark.parametrize("condition", _SHORT, ids=lambda condition: condition.name)
def test_a_condition_has_its_name_and_its_remedy(condition: Condition, broker: RabbitMQ) -> None:
    outcome = play(condition, broker)
    least, most = condition.restarts
    assert least <= outcome.restarts <= most
    assert "agent-fault" not in outcome.log
