"""How long a task is tried again that the broker has refused to take, as one whose queue has no leader."""

from collections.abc import Sequence
from types import SimpleNamespace

import pytest

from celery_delivery.sending import producer
from celery_delivery.sending.outgoing import Fate, Outgoing


class Refusing(producer.Producer):
    """A producer whose broker refuses everything for some seconds of its own clock, and answers at once."""

    def __init__(self, seconds: float) -> None:
        self.now = 0.0
        self._until = seconds

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds

    def attempt(self, messages: Sequence[Outgoing], _seconds: float) -> None:
        for message in messages:
            message.was_nacked = self.now < self._until
            message.fate = None if message.was_nacked else Fate.ACCEPTED


@pytest.mark.parametrize(
    ("given", "refusing", "fate"),
    [(10, 3.3, Fate.ACCEPTED), (10, 6.5, None), (30, 6.5, Fate.ACCEPTED), (30, 13, Fate.ACCEPTED), (30, 17, None)],
)
def test_half_of_the_time_that_is_given_is_for_what_is_refused(
    given: float, refusing: float, fate: Fate | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    refuses = Refusing(refusing)
    monkeypatch.setattr(producer, "time", SimpleNamespace(monotonic=refuses.monotonic, sleep=refuses.sleep))
    message = Outgoing(b"", {"headers": {"task": "alpha"}})
    refuses.deliver([message], given)
    assert message.fate is fate
    assert refuses.now <= given / 2 + producer.LONGEST_PAUSE
