"""A message on its way to the broker, and what became of it."""

from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from amqp.exceptions import AccessRefused
from kombu.serialization import dumps

from celery_delivery.errors import NotAccepted, Refused, SendError, Unconfirmed

REVOKES = "revokes"  # the header of a revocation: how many tasks it is about


class Fate(Enum):
    """What became of a task that was sent."""

    ACCEPTED = "accepted"
    REFUSED = "refused"  # the broker does not have it
    UNKNOWN = "unknown"  # the broker may have it


@dataclass(slots=True)
class Outgoing:
    """A message as Celery hands it to a producer, while it is being sent.

    body: as it goes to the broker. options: those of kombu's `Producer.publish` that concern the message.
    replies: who expects a result of the task, and names the queue for it; None where nobody does.
    reply_queue: the queue for its result that it was last sent with; empty for none of this process.
    tag: its number on the channel that it was last written to.
    written: when that was, by the monotonic clock, for results.
    may_be_there: it was written once, and the answer has not come.
    was_nacked: the last answer was a nack.
    is_refused: no other attempt would help.
    reason: why the last attempt failed.
    """

    body: bytes
    options: dict[str, Any]
    replies: Any = None
    reply_queue: str = ""
    tag: int = 0
    written: float = 0.0
    may_be_there: bool = False
    was_nacked: bool = False
    is_refused: bool = False
    reason: str = ""
    cause: BaseException | None = None
    fate: Fate | None = None
    headers: dict[str, Any] = field(init=False)

    def __post_init__(self) -> None:
        self.headers = self.options.get("headers") or {}

    @property
    def is_task(self) -> bool:
        """Whether it is a task, or revokes some; else it is a result, for somebody who may be gone."""
        return "task" in self.headers or self._revokes > 0

    @property
    def _revokes(self) -> int:
        """How many tasks it revokes."""
        return 0 if "task" in self.headers else int(self.headers.get(REVOKES, 0))

    @property
    def task_id(self) -> str | None:
        """The id of the task, or of that whose result it is."""
        return self.headers.get("id") or self.options.get("correlation_id")

    def keeps(self, reason: str, cause: BaseException | None = None) -> None:
        """Note what has kept it from being accepted; it may be tried again."""
        self.reason, self.cause = reason, cause

    def refuse(self, error: BaseException) -> None:
        """Note that the broker refuses it; it is not tried again."""
        self.keeps(str(error), error)
        self.is_refused = True
        self.settled()

    def settled(self) -> Fate:
        """Return the message's fate; what is not settled now will not be tried again."""
        if self.fate is None:
            self.fate = Fate.UNKNOWN if self.may_be_there else Fate.REFUSED
        return self.fate

    def error(self, broker: str) -> SendError:
        """Return what to raise where it was not accepted."""
        name = self._name()
        if self.fate is Fate.UNKNOWN:
            advice = f"It may be there: send it again{'' if self._revokes else ' with the same task_id'}"
            return Unconfirmed(f"{name} was sent to {broker} and not confirmed: {self.reason}. {advice}", self.task_id)
        kind = Refused if self.is_refused else NotAccepted
        return kind(f"{name} was not accepted by {broker}: {self.reason}{self._advice()}", self.task_id)

    def _name(self) -> str:
        if self._revokes:
            return f"the revocation of {'1 task' if self._revokes == 1 else f'{self._revokes} tasks'}"
        return f"task {self.headers['task']}[{self.task_id}]" if self.is_task else f"the result of task {self.task_id}"

    def unrouted(self) -> str:
        """Return why the broker gives it back: the queue of its name is not there."""
        if not self.is_task or any(not queue.no_declare for queue in self.options["declare"]):
            return "no queue takes it, or it was deleted; the next task declares it again"
        return f"there is no queue {self.options['routing_key']!r}, and clients don't declare it"

    def _advice(self) -> str:
        """Return what to do where the right to send is missing, else nothing."""
        if not self.is_task or not isinstance(self.cause, AccessRefused) or "publish" not in self.cause.method_name:
            return ""
        if self._revokes:
            return ". Give the user the rights that `agent topology` prints"
        return (
            f". For tasks of an agent's instance name it there, CELERY_AGENT_SENDS={self.headers['task']}, and give its user "
            "the rights that `agent topology` prints; producers need them too"
        )


def encoded(body: Any, options: dict[str, Any]) -> tuple[bytes, dict[str, Any]]:
    """Return a body as it goes to the broker, and the options of `Producer.publish` for it; raises EncodeError."""
    kind, encoding = options.get("content_type"), options.get("content_encoding")
    if not kind:
        kind, encoding, body = dumps(body, serializer=options.get("serializer"))
    if isinstance(body, str):
        encoding = encoding or "utf-8"
        body = body.encode(encoding)
    return body, {**options, "serializer": None, "content_type": kind, "content_encoding": encoding}
