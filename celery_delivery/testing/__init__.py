"""For tests of contracts, implementations and producers, without a broker: `docs/contracts.md` has an example."""

from celery_delivery.testing.contract import check_contract
from celery_delivery.testing.messages import End, Message, Outcome
from celery_delivery.testing.stub import StubBroker

__all__ = ["End", "Message", "Outcome", "StubBroker", "check_contract"]
