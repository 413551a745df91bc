"""Many tasks at once: sent without waiting for each, and the fate of each is known when the call returns.

    from celery_delivery.batch import Fate, send_all

    sent = send_all(worker.s(number) for number in range(10_000))
    again = [each for each in sent if each.fate is not Fate.ACCEPTED]

A task that is sent alone waits for the broker's disks, and so does the next. Here up to WINDOW of them are on their way
together: `python -m bench.sending` prints both rates.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from celery.canvas import Signature

from celery_delivery.sending.confirming import Confirming
from celery_delivery.sending.outgoing import Fate, Outgoing
from celery_delivery.sending.pools import broker_key
from celery_delivery.sending.producer import SEND_TIMEOUT, Producer

__all__ = ["Fate", "Sent", "send_all"]

WINDOW = 1000  # tasks that are on their way at once; with 100 the rate is a tenth lower


@dataclass(frozen=True, slots=True)
class Sent:
    """What became of one task; `reason` says why it was not accepted."""

    task_id: str
    fate: Fate
    reason: str = ""


def send_all(signatures: Iterable[Signature], confirm_timeout: float = SEND_TIMEOUT) -> list[Sent]:
    """Send tasks and return what became of each, in the same order.

    confirm_timeout: seconds for WINDOW of them. Nothing is sent where a signature's arguments do not fit its task (TypeError),
    or where the tasks are not those of one broker with the safe profile (ValueError).
    """
    wanted = list(signatures)
    if not wanted:
        return []
    pool = _pool(wanted)
    with pool.acquire(block=True) as producer:
        recorder = Recorder(producer.connection)
        for each in wanted:
            each.apply_async(producer=recorder)
        for start in range(0, len(recorder.messages), WINDOW):
            producer.deliver(recorder.messages[start : start + WINDOW], confirm_timeout)
    return [_sent(message) for message in recorder.messages if message.is_task]  # others are events of being sent


class Recorder(Producer):
    """A producer that keeps what it is to publish."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.messages: list[Outgoing] = []

    def publish(self, body: Any, **options: Any) -> None:
        """Keep a message."""
        self.messages.append(self.outgoing(body, options))


def _pool(signatures: list[Signature]) -> Any:
    apps = {id(each.app): each.app for each in signatures}.values()
    if not all(isinstance(app.amqp, Confirming) for app in apps):
        raise ValueError("send_all is for apps of create_worker_from, with RabbitMQ and CELERY_TASKS_DELIVERY=safe")
    if len({broker_key(app) for app in apps}) > 1:
        raise ValueError("the tasks of one batch must have the same broker")
    return next(iter(apps)).producer_pool


def _sent(message: Outgoing) -> Sent:
    fate = message.settled()
    return Sent(message.task_id or "", fate, "" if fate is Fate.ACCEPTED else message.reason)
