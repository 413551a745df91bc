"""A broker, its workers and their results inside a test: no socket, no thread, no process, and nothing of it stays.

    with StubBroker() as broker:
        app, add = create_worker_from(ActualAdd)
        result = add.delay(1, 2)
        broker.work(app)
        assert result.get() == 3

Within it every app of `create_worker_from`, made before or within, sends to it. What is sent is checked and serialized as
always.
A worker of it is Celery's own request and tracer, with what this library adds, run where `work` is called. It plays no
time limits, and a task that ends its process ends the test.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any, Self

import kombu.message
from celery import Celery
from celery.worker import state
from kombu import serialization

from celery_delivery.apps import App
from celery_delivery.errors import NotAccepted
from celery_delivery.sending.outgoing import REVOKES, Fate, Outgoing, encoded
from celery_delivery.sending.producer import Producer
from celery_delivery.sending.revocation import decode
from celery_delivery.testing.messages import End, Message, Outcome
from celery_delivery.testing.results import StubResults
from celery_delivery.testing.worker import handle
from celery_delivery.topology import delays


class StubBroker:
    """Queues in memory, while it is entered; `is_away` set, it takes nothing, as one that can't be reached."""

    def __init__(self) -> None:
        self.is_away = False
        self._queued: list[Message] = []
        self._dead: list[Outcome] = []
        self._results: dict[Any, Any] = {}
        self._ahead = timedelta()
        self._before: Any = None

    def __enter__(self) -> Self:
        """Be the broker of every app from now on."""
        self._before, App.stub = App.stub, self
        return self

    def __exit__(self, *_: object) -> None:
        """Leave the apps to the broker that they had."""
        App.stub = self._before

    def messages(self, queue: str) -> list[Message]:
        """Return what waits in a queue, the next to be run first, then what waits for its time."""
        return sorted(
            (each for each in self._queued if each.queue == queue), key=lambda each: max(each.due, self._now())
        )

    def dead_letters(self, queue: str) -> list[Outcome]:
        """Return what a queue's worker could not get done; `error` says why."""
        return [each for each in self._dead if each.message.queue == queue]

    def advance(self, seconds: float) -> None:
        """Let time pass for tasks that wait for theirs."""
        self._ahead += timedelta(seconds=seconds)

    def work(self, *apps: Celery) -> list[Outcome]:
        """Run what is due in the queues of apps, and what that sends to them, until nothing is due; return how each ended."""
        serving = {app.conf.task_default_queue: app for app in apps}
        ended = []
        while (message := self._next(serving)) is not None:
            with self._held(message):
                outcome = handle(serving[message.queue], message)
            if outcome.end is End.REQUEUED:
                self._queued.insert(0, replace(message, deliveries=message.deliveries + 1))
            elif outcome.end is End.DEAD:
                self._dead.append(outcome)
            ended.append(outcome)
        return ended

    def take(self, body: Any, options: dict[str, Any]) -> None:
        """Take what a producer publishes; raises NotAccepted, DelayError, and EncodeError for what is not JSON."""
        headers = dict(options.get("headers") or {})
        if REVOKES in headers and "task" not in headers:
            self._revoke(body)
        if "task" not in headers:
            return  # an event, for nobody
        if self.is_away:
            raise NotAccepted(
                f"task {headers['task']}[{headers['id']}] was not accepted: the broker is away", headers["id"]
            )
        payload, options = encoded(body, options)
        kind, encoding = options["content_type"], options["content_encoding"]
        now = datetime.now(UTC)
        countdown = delays.seconds_until(headers.get("eta"), now)
        declared = next((queue.name for queue in options.get("declare") or ()), None)
        queue = declared or options["routing_key"]
        raw = kombu.message.Message(
            payload, None, kind, encoding, {"exchange": queue, "routing_key": queue}, _properties(options), headers
        )
        args, kwargs, _ = serialization.loads(payload, kind, encoding)
        due = self._now() + timedelta(seconds=countdown)
        self._queued.append(
            Message(queue, headers["task"], headers["id"], args, kwargs, countdown, due, len(payload), raw=raw)
        )

    def pool(self, app: Celery) -> "StubPool":
        """Return what an app takes its producers from."""
        return StubPool(self, app)

    def backend(self, app: Celery) -> Any:
        """Return where an app's results go."""
        return StubResults(self._results, app=app)

    def _revoke(self, body: Any) -> None:
        if self.is_away:
            raise NotAccepted("the revocation was not accepted: the broker is away")
        for each in decode(body).ids:
            state.revoked.add(each)

    def _now(self) -> datetime:
        return datetime.now(UTC) + self._ahead

    def _next(self, serving: dict[str, Celery]) -> Message | None:
        return next((each for each in self._queued if each.queue in serving and each.due <= self._now()), None)

    @contextmanager
    def _held(self, message: Message) -> Iterator[None]:
        """Have a message be with a worker; what ends the worker gives it back."""
        place = self._queued.index(message)
        del self._queued[place]
        try:
            yield
        except BaseException:
            self._queued.insert(0, message)
            raise


class StubPool:
    """Producers of an app; any number."""

    def __init__(self, broker: StubBroker, app: Celery) -> None:
        self._broker = broker
        self._connection = app.connection_for_write()  # never opened
        self.connections = self

    @property
    def connection(self) -> Any:
        """A connection that says what kind it would be."""
        return self._connection

    def acquire(self, block: bool = False, timeout: float | None = None) -> "StubProducer":  # noqa: ARG002 - kombu's words
        """Return a producer."""
        return StubProducer(self._connection, self._broker)


class StubProducer(Producer):
    """Gives a stub what it is to publish."""

    def __init__(self, connection: Any, broker: StubBroker) -> None:
        super().__init__(connection)
        self._broker = broker

    def publish(self, body: Any, **options: Any) -> None:
        """Give it, or raise why not."""
        self._broker.take(body, options)

    def deliver(self, messages: Any, seconds: float) -> None:  # noqa: ARG002 - nothing is waited for
        """Give messages, and note what became of each."""
        for message in messages:
            self._deliver(message)

    def check_priority(self, priority: Any, what: str) -> None:
        """Take any: a stub is of no release."""

    def _deliver(self, message: Outgoing) -> None:
        try:
            self._broker.take(message.body, message.options)
        except NotAccepted as error:
            message.keeps(str(error), error)
            message.settled()
        else:
            message.fate = Fate.ACCEPTED


def _properties(options: dict[str, Any]) -> dict[str, Any]:
    names = ("correlation_id", "reply_to", "priority", "expiration")
    return {name: options[name] for name in names if options.get(name) is not None}
