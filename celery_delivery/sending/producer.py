"""How tasks get to the broker: confirmed, and within a bounded time.

    fault of stock Celery 5.7                       seen as                                           here
    ----------------------------------------------  ------------------------------------------------  ---------------
    a publish is not confirmed                      broker killed: 238 tasks lost, no error           confirms
    a broker that is away or frozen is waited for   `.delay()` hangs for more than 75 s               SEND_TIMEOUT
    what no queue takes is dropped                  no error                                          mandatory
    each app has its own idea of a fork             answers mixed up, the parent's connection lost    pools

What fails is tried again until its time is over, with the same task id: the broker may have it already.
"""

import time
from collections.abc import Sequence
from datetime import UTC, datetime
from functools import partial
from typing import Any

from amqp.exceptions import (
    AMQPError,
    InternalError,
    RecoverableChannelError,
    RecoverableConnectionError,
    UnexpectedFrame,
)
from celery.utils.log import get_logger
from kombu.messaging import Producer as StockProducer

from celery_delivery.broker.urls import connect_to_any
from celery_delivery.sending import priorities
from celery_delivery.sending.confirms import Answer, Confirms
from celery_delivery.sending.outgoing import Fate, Outgoing, encoded
from celery_delivery.sending.reply_queues import delete_queues, is_about_replies, renew_replies
from celery_delivery.sending.routing import is_passed_on
from celery_delivery.sending.unanswered import Unanswered, look
from celery_delivery.settings.safe import CONNECT_TIMEOUT
from celery_delivery.topology import delays
from celery_delivery.topology.queues import TaskQueue

SEND_TIMEOUT = 10.0  # seconds; a quorum queue has another leader in 3 s
# Of the time that is given, how much goes to what the broker has refused to take (nack). On a quiet machine a queue whose
# leader was killed had none for 3.3 s, on a busy one for more than 5 s; and a queue that is full stays full.
NACK_SHARE = 0.5
FIRST_PAUSE, LONGEST_PAUSE = 0.1, 1.0  # seconds between two attempts; each pause is twice the one before

# What another attempt may cure. Everything else is the broker's last word, such as a missing right.
PASSING = (OSError, RecoverableConnectionError, RecoverableChannelError, InternalError, UnexpectedFrame)

_log = get_logger(__name__)


class Producer(StockProducer):
    """Publishes a task so that the broker has it when the call returns; else raises NotAccepted or Unconfirmed.

    Results are for somebody who may be gone, so that no queue takes them. Only those that are larger than all before are waited
    for; the others are written again where the broker does not answer for them.
    """

    _replies: Any = None

    @property
    def _results(self) -> Unanswered:
        return Unanswered.of(self.connection)

    def expect_replies(self, replies: Any) -> None:
        """Have the queue for results declared with the next task: `replies.binding`, or another after `replies.renew(name)`."""
        self._replies = replies

    def delete(self, queues: Sequence[str]) -> None:
        """Delete queues, but for those that the broker refuses to delete as their node is down. Raises AMQPError, OSError."""
        with self._results.turn:
            try:
                self._connect(CONNECT_TIMEOUT)
                delete_queues(queues, self.connection)
            except PASSING as error:  # the connection was lost since the last task, and its broker may be gone
                self._leave()
                if isinstance(error, TimeoutError) and error.errno is None:  # the broker is silent, and would be again
                    raise
                connect_to_any(self.connection)
                delete_queues(queues, self.connection)

    def publish(self, body: Any, **options: Any) -> None:
        """Publish a message, again and again until it is confirmed or its time is over.

        confirm_timeout among the options: seconds, instead of SEND_TIMEOUT. Without `retry` there is one attempt.
        """
        seconds = options.pop("confirm_timeout", None) or SEND_TIMEOUT
        send = self.deliver if options.pop("retry", False) else self.attempt
        message = self.outgoing(body, options)
        send([message], seconds)
        if message.settled() is not Fate.ACCEPTED:
            raise message.error(self.connection.as_uri()) from message.cause

    def outgoing(self, body: Any, options: dict[str, Any]) -> Outgoing:
        """Return a message with what belongs to it; `options` are those of `publish`. Raises EncodeError."""
        ours = {"retry", "retry_policy", "confirm_timeout"}
        kept = {name: value for name, value in options.items() if name not in ours}
        replies, self._replies = self._replies, None
        body, kept = encoded(body, kept)
        return Outgoing(body, {**kept, "declare": kept.get("declare") or ()}, replies)

    def deliver(self, messages: Sequence[Outgoing], seconds: float) -> None:
        """Send messages at once, and again those that the broker has not answered for, until their time is over."""
        began = time.monotonic()
        pause = FIRST_PAUSE
        while True:
            left = began + seconds - time.monotonic()
            self.attempt([each for each in messages if each.fate is None], left)
            has_patience = time.monotonic() - began < NACK_SHARE * seconds
            waits = any(each.fate is None and (has_patience or not each.was_nacked) for each in messages)
            if not waits or time.monotonic() + pause >= began + seconds:
                return
            time.sleep(pause)
            pause = min(2 * pause, LONGEST_PAUSE)

    def attempt(self, messages: Sequence[Outgoing], seconds: float) -> None:
        """Send messages at once, and settle those that the broker answers for."""
        deadline = time.monotonic() + seconds
        left = messages
        with self._results.turn:
            while left:
                left = self._send(left, deadline)

    def settle(self) -> bool:
        """Write results again that were lost with a connection; say whether the broker has answered for all."""
        with self._results.turn:
            if self._results:
                self._send((), time.monotonic() + CONNECT_TIMEOUT)
            return not self._results

    def _send(self, messages: Sequence[Outgoing], deadline: float) -> Sequence[Outgoing]:
        """Send messages over one channel; return those that it was closed for by the fault of others, for another one."""
        confirms = None
        for message in messages:
            message.tag, message.was_nacked = 0, False
        try:
            channel = self._connect(deadline - time.monotonic())
            confirms = Confirms.of(channel)
            self._results.settle(confirms)
            self._results.write_again(partial(self._write, channel=channel, confirms=confirms))
            for message in messages:
                if len(message.body) > confirms.proven:
                    self._write_alone(message, channel, confirms, deadline)
                else:
                    self._write(message, channel, confirms)
                    if not message.is_task:
                        message.fate = Fate.ACCEPTED
                        self._results.add(message)
                        look.after(self.connection, type(self))
            if not messages:
                self._results.look(confirms, SEND_TIMEOUT)
            elif any(message.is_task for message in messages):
                confirms.wait(confirms.last, deadline)
        except PASSING as error:
            self._settle(messages, confirms)
            self._results.settle(confirms)
            self._keep(messages, confirms, error)
            self.connection.maybe_switch_next()
            renew_replies(messages)
        except AMQPError as error:
            self._settle(messages, confirms)
            self._results.drop(confirms)
            self._leave()
            if not is_about_replies(messages, error):
                return self._find(messages, confirms, error, deadline)
        else:
            self._settle(messages, confirms)
        return ()

    def check_priority(self, priority: Any, what: str) -> None:
        """Raise PriorityError where the broker would ignore a priority; nothing where the broker is away."""
        try:
            with self._results.turn:
                self._connect(CONNECT_TIMEOUT)
        except (AMQPError, OSError):
            return  # whoever sends is told
        priorities.check(priority, self.connection, what)

    def _connect(self, seconds: float) -> Any:
        connection = self.connection
        connection.connect_timeout = max(0.1, min(CONNECT_TIMEOUT, seconds))
        connection.ensure_connection(max_retries=0, reraise_as_library_errors=False)
        return self.channel

    def _write_alone(self, message: Outgoing, channel: Any, confirms: Confirms, deadline: float) -> None:
        """Write what may be above the broker's limit, and wait: it closes the channel for that, and drops what comes behind."""
        confirms.wait(confirms.last, deadline)
        self._write(message, channel, confirms)
        confirms.wait(confirms.last, deadline)
        confirms.proven = len(message.body)

    def _write(self, message: Outgoing, channel: Any, confirms: Confirms) -> None:
        options = message.options
        if not message.is_task:
            message.tag = confirms.last + 1
            super().publish(message.body, **options)
            return
        for queue in options["declare"]:
            self._declare(queue, channel)
        route = self._route(message, channel)
        # A retry, or a step of a chain, has a result for somebody else.
        if message.replies is not None and message.replies.expects(message.options.get("reply_to")):
            queue = message.replies.binding
            self._declare(queue, channel)
            message.reply_queue = route["reply_to"] = queue.name
        message.tag = confirms.last + 1
        super().publish(message.body, **{**options, **route, "declare": None, "mandatory": True})

    def _declare(self, queue: Any, channel: Any) -> None:
        """Declare a queue without waiting: what the broker has against it, it says by closing the channel."""
        declared = self.connection.declared_entities
        if not queue.can_cache_declaration or hash(queue) not in declared:
            queue.bind(channel).declare(nowait=True)
            declared.add(hash(queue))

    def _route(self, message: Outgoing, channel: Any) -> dict[str, Any]:
        """Return exchange and routing key: a queue's own, instead of the exchange that leads to every queue, or a delay."""
        queue, seconds = self.place(message)
        if queue is None:
            return {}
        # No time to live: the broker would make a dead letter of what expires. The worker looks at `expires`, and tells.
        expiration = {"expiration": None}
        if not seconds:
            return {"exchange": queue.exchange.name, "routing_key": queue.routing_key, **expiration}
        if not queue.no_declare:
            delays.prepare(queue.name, seconds, channel, self.connection.declared_entities)
        return {"exchange": delays.FIRST, "routing_key": delays.routing_key(seconds, queue.name), **expiration}

    def place(self, message: Outgoing) -> tuple[TaskQueue | None, int]:
        """Return the queue of ours that a task goes to, else None, and in how many seconds; the connection is open.

        Raises DelayError for a time that is too far away, PriorityError for a priority that the broker would ignore.
        """
        queue = next((each for each in message.options["declare"] if isinstance(each, TaskQueue)), None)
        # A retry has the exchange by which its task came: the queue's own, or after a delay the one where delays end.
        if queue is None or message.options["exchange"] not in {"", queue.exchange.name, delays.DUE}:
            return None, 0
        priority = message.options.get("priority")
        if priority not in (None, 0) and queue.has_order and not is_passed_on():  # with 0 it stands where others do
            priorities.check(priority, self.connection, f"task {message.headers['task']}[{message.task_id}]")
        return queue, delays.seconds_until(message.headers.get("eta"), datetime.now(UTC))

    def _settle(self, messages: Sequence[Outgoing], confirms: Confirms | None) -> None:
        """Give each message that the broker has answered for its fate."""
        for message in messages:
            if confirms is None or not confirms.is_answered(message.tag):
                continue
            answer = confirms.answer(message.tag)
            message.was_nacked = answer is Answer.NACKED
            if answer is Answer.TAKEN:
                message.fate = Fate.ACCEPTED
            elif answer is Answer.NACKED:
                message.keeps("its queue takes no more (nack): it is full, or has no leader")
            else:
                message.keeps(message.unrouted())
                message.settled()
                self.connection.declared_entities.clear()

    def _keep(self, messages: Sequence[Outgoing], confirms: Confirms | None, error: Exception) -> None:
        """Note what has interrupted the messages that are not answered for, and leave the connection."""
        is_blocked = confirms is not None and confirms.is_blocked
        reason = "the broker takes nothing, because it is short of memory or disk" if is_blocked else str(error)
        for message in messages:
            if message.fate is None and not message.was_nacked:
                message.may_be_there |= confirms is not None and confirms.was_written(message.tag)
                message.keeps(reason or repr(error), error)
        self._leave()

    def _leave(self) -> None:
        """Leave connection and channel: an answer that comes late must not meet the next message."""
        self._results.lose()
        self.connection.collect()
        self.revive(self.connection)  # else every later attempt meets the channel that is gone

    def _find(
        self, messages: Sequence[Outgoing], confirms: Confirms | None, error: Exception, deadline: float
    ) -> Sequence[Outgoing]:
        """Find out which message it is that the broker refuses with an error; return those that it can't be."""
        unsettled = [message for message in messages if message.fate is None and not message.was_nacked]
        if confirms is None:  # there was no channel: it refuses us
            for message in unsettled:
                message.refuse(error)
            return ()
        if earlier := confirms.unanswered([message.tag for message in messages]):
            _log.error("What was sent before may be lost, of the tasks %s: %s", ", ".join(earlier), error)
            return unsettled
        written = [message for message in unsettled if confirms.was_written(message.tag)] or unsettled[:1]
        if len(written) == 1:
            written[0].refuse(error)
        else:
            for message in written:
                self.attempt([message], deadline - time.monotonic())
                message.may_be_there |= message.fate is None  # the first time was not answered for
        return [message for message in unsettled if message.fate is None and not confirms.was_written(message.tag)]
