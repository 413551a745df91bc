"""How often a worker says that it can't reach its broker."""

import logging

from celery.worker.consumer.consumer import CONNECTION_ERROR, CONNECTION_RETRY

from agent.guest.work.seldom import ANOTHER, Seldom
from celery_delivery.worker.revoked import UNREAD


def record(reason: str = "refused", attempt: int = 1, text: str = CONNECTION_ERROR) -> logging.LogRecord:
    return logging.LogRecord(
        "", logging.ERROR, "", 1, text, ("amqp://one//", reason, f"Trying again... ({attempt})"), None
    )


def test_the_same_is_said_at_growing_intervals() -> None:
    now = 0.0
    seldom = Seldom(clock=lambda: now)
    said = []
    for attempt in range(3_000):
        now = 2.0 * attempt
        if seldom.filter(record(attempt=attempt)):
            said.append(now)
    assert said == [0, 60, 180, 420, 900, 1860, 3780]


def test_another_reason_another_outage_and_all_else_is_said_at_once() -> None:
    now = 0.0
    seldom = Seldom(clock=lambda: now)
    assert [seldom.filter(record(reason)) for reason in ("refused", "timed out", "refused")] == [True, True, False]
    now = ANOTHER
    assert seldom.filter(record())
    assert all(seldom.filter(record(text="%s %s %s")) for _ in range(3))


def test_what_the_broker_refuses_at_each_attempt_is_said_once_for_each_reason() -> None:
    def refused(reason: str) -> list[tuple[Seldom, logging.LogRecord]]:
        lost, unread = (CONNECTION_RETRY, PermissionError(reason)), ("celery-tasks.revoked", reason)
        texts = ((of_celery, "%s (%r)", lost), (of_library, UNREAD, unread))
        return [(by, logging.LogRecord("", logging.WARNING, "", 1, text, args, None)) for by, text, args in texts]

    of_celery, of_library = Seldom(), Seldom(UNREAD)
    said = [by.filter(each) for reason in ("a right", "a right", "a queue") for by, each in refused(reason)]
    assert said == [True, True, False, False, True, True]
