"""What the process that watches the brokers has seen there, as it goes to the daemon."""

from __future__ import annotations

from .values import dataclass


@dataclass(frozen=True, slots=True)
class Asked:
    """One queue: messages that are ready, and consumers; each None where it can't be told, and `unseen` says why.

    dead: messages in its dead-letter queue; None where it has none, or that can't be told.
    """

    queue: str
    waiting: int | None = None
    consumers: int | None = None
    unseen: str = ""
    dead: int | None = None


@dataclass(frozen=True, slots=True)
class Reach:
    """One broker: its URL without the password, why it can't be reached, in one word, and what the transport said.

    reason: away, credentials, rights, certificate or frozen, see `agent.decide.backlog`; empty where it was reached.
    expires: when the certificate that the broker showed last runs out, own_expires: that which is shown to it; in seconds since
        the epoch, None where there is none, or it was not seen.
    """

    broker: str
    reason: str = ""
    text: str = ""
    expires: float | None = None
    own_expires: float | None = None


@dataclass(frozen=True, slots=True)
class Sight:
    """The brokers of one app, of which one that can be reached is enough, and its queues."""

    reaches: tuple[Reach, ...]
    queues: tuple[Asked, ...]


@dataclass(frozen=True, slots=True)
class News:
    """What the log is to say of a broker: that something has changed, or that it lasts, for so many seconds."""

    reach: Reach
    lasts: float
