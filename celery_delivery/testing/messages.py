"""What lies in a stub's queues, and what becomes of it."""

from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum
from typing import Any

import kombu.message


class End(Enum):
    """How a worker's look at a message ended."""

    SUCCEEDED = "succeeded"
    FAILED = "failed"
    RETRIED = "retried"
    IGNORED = "ignored"
    REQUEUED = "requeued"
    DEAD = "dead"


@dataclass(frozen=True, slots=True)
class Message:
    """A task as it lies in a queue.

    countdown: whole seconds that it was to wait when it was sent. size: bytes of its body.
    deliveries: how often it was given back.
    """

    queue: str
    task: str
    task_id: str
    args: list[Any]
    kwargs: dict[str, Any]
    countdown: int
    due: datetime
    size: int
    deliveries: int = 0
    raw: kombu.message.Message = field(repr=False, kw_only=True)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a message; `error` is what the task raised, or why it is a dead letter."""

    message: Message
    end: End
    error: BaseException | None = None
