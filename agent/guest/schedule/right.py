"""Who has the right to send ticks: one process of the fleet at a time, by the word of the broker.

`lease` is that of a RabbitMQ, a queue; `lock` that of a Redis, a key.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar, Protocol

from kombu import Connection

from celery_delivery.sending.confirms import Answer

from .record import Record


class Right(Protocol):
    """A candidacy over one connection, until that or the right is lost; all may raise one of LOST.

    REFUSED: those of LOST that tell that the broker refuses what was to be sent.
    OPTIONS: what the connection is to be made with.
    """

    LOST: ClassVar[tuple[type[Exception], ...]]
    REFUSED: ClassVar[tuple[type[Exception], ...]]
    OPTIONS: ClassVar[Mapping[str, Any]]
    connection: Connection
    channel: Any

    def __init__(self, connection: Connection, name: str) -> None:
        """Stand for the right of a name, over a connection that is open."""

    def stand(self, *, declares: bool) -> None:
        """Become a candidate; declares: whether what the broker lacks for it is declared."""

    @property
    def record(self) -> Record | None:
        """The record, where this one leads."""

    def wait(self, seconds: float) -> None:
        """Wait for so long or shorter, and see to the right."""

    def write(self, record: Record, send: Callable[[], None] = ...) -> Sequence[Answer]:
        """Replace the record, and with it send what `send` publishes on the channel; return what the broker says of that."""

    def resign(self) -> None:
        """Let another one lead."""


def kind_of(connection: Connection) -> type[Right]:
    """Return the class of what keeps the right on a broker, by a connection that need not be open."""
    name = "lock.Lock" if connection.transport.driver_type == "redis" else "lease.Lease"
    module, _, kind = name.partition(".")
    found: type[Right] = getattr(importlib.import_module(f".{module}", __package__), kind)  # redis-py may not be there
    return found
