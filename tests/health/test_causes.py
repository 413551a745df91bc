"""Each cause is named, with what to do, at each place where one looks; `make causes` provokes all nine."""

import pytest

from tests.health.causes import CAUSES, SHORT, Cause
from tests.health.provoke import provoke
from tests.rabbitmq import RabbitMQ

_SHORT = [each for each in CAUSES if each.name in SHORT]


@pytest.mark.parametrize("cause", _SHORT, ids=lambda cause: cause.name)
def test_each_place_names_a_cause_and_what_to_do_and_the_log_says_it_once(cause: Cause, broker: RabbitMQ) -> None:
    provoke(cause, broker)
