"""What a worker would do with a message: this library's checks, Celery's own request and tracer, on the spot."""

from typing import Any

import kombu.message
from billiard.einfo import ExceptionWithTraceback
from celery import Celery
from celery.exceptions import Ignore, InvalidTaskError, NotRegistered, Retry, TaskRevokedError
from celery.utils.imports import symbol_by_name
from celery.worker import state
from kombu.exceptions import ContentDisallowed, DecodeError
from kombu.serialization import prepare_accept_content

from celery_delivery.sending.following import traced
from celery_delivery.testing.messages import End, Message, Outcome
from celery_delivery.topology.queues import DELIVERY_LIMIT
from celery_delivery.worker.incoming import Signatures
from celery_delivery.worker.outcomes import plain

_ENDS = {Retry: End.RETRIED, Ignore: End.IGNORED}


def handle(app: Celery, message: Message) -> Outcome:
    """Run a message as a worker of an app would, and say how that ended."""
    raw = _received(app, message)
    try:
        Signatures().check(app.tasks, raw)
        task = app.tasks[message.task]
        look = Look(app)
        request = symbol_by_name(task.Request)(
            raw, app=app, task=task, on_ack=look.ack, on_reject=look.reject, hostname="stub"
        )
    except NotRegistered as error:
        return _dead(app, message, NotRegistered(f"the worker of {message.queue} has no task {error}"))
    except (InvalidTaskError, ContentDisallowed, DecodeError) as error:
        return _dead(app, message, error)
    tracer, task.__trace__ = task.__trace__, None  # it holds the backend
    try:
        request.execute_using_pool(look)
    except TaskRevokedError as error:
        look.error = error
        if not look.requeues:
            return Outcome(message, End.IGNORED, error)
    finally:
        task.__trace__ = tracer
        state.successful_requests.discard(message.task_id)
    if look.requeues and message.deliveries >= DELIVERY_LIMIT:
        return Outcome(message, End.DEAD, look.error)
    return Outcome(message, look.end(), look.error)


class Look:
    """A worker's look at one message, and the pool that runs it: in the thread that asks."""

    def __init__(self, app: Celery) -> None:
        self._app = app
        self.error: BaseException | None = None
        self.requeues = False
        self._is_dead = False

    def apply_async(self, target: Any, args: Any = (), callback: Any = None, **_options: Any) -> None:
        """Run a task at once, and tell its request."""
        # Without `app` it is the current app, which a worker's process has set.
        failed, value, seconds = traced(target, *args, app=self._app)
        if failed:
            raised = value.exception
            self.error = raised.exc if isinstance(raised, ExceptionWithTraceback) else raised
            value = plain(value)
        callback((failed, value, seconds))

    def ack(self, *_: Any) -> None:
        """Take a message off its queue."""

    def reject(self, _log: Any, _errors: Any, requeue: bool) -> None:
        """Give a message back, or make it a dead letter."""
        self.requeues = requeue
        self._is_dead = not requeue

    def end(self) -> End:
        """Say how it ended."""
        if self._is_dead or self.requeues:
            return End.DEAD if self._is_dead else End.REQUEUED
        if self.error is None:
            return End.SUCCEEDED
        return next((end for kind, end in _ENDS.items() if isinstance(self.error, kind)), End.FAILED)


def _received(app: Celery, message: Message) -> kombu.message.Message:
    """Return a message as it comes off a channel, not decoded yet."""
    sent = message.raw
    return kombu.message.Message(
        sent.body,
        None,
        sent.content_type,
        sent.content_encoding,
        {**sent.delivery_info, "redelivered": message.deliveries > 0},
        sent.properties,
        {**sent.headers, "x-delivery-count": message.deliveries},
        accept=prepare_accept_content(app.conf.accept_content),
    )


def _dead(app: Celery, message: Message, error: Exception) -> Outcome:
    app.backend.mark_as_failure(message.task_id, error)
    return Outcome(message, End.DEAD, error)
