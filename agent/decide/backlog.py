"""What the brokers say, as the process that watches them has asked: of a queue, and whether they can be reached at all."""

from __future__ import annotations

from agent.guest.values import dataclass


@dataclass(frozen=True, slots=True)
class Broker:
    """What is known of the brokers that a queue's worker may use: one that can be reached is enough.

    reachable: None where nobody knows, as when nothing has asked yet, or who asks is silent.
    reason: of one that can't be reached, one word: away (nobody answers, or hangs up), credentials (user or password are
        refused), rights (the user may not use the virtual host, or there is none), certificate (TLS), frozen (it was there,
        and answers nothing). Empty where it can be reached, or nobody knows.
    text: what the transport said, for people; or why nobody knows.
    at: when that was found out, in seconds of the monotonic clock; 0.0 for never.
    since: the earliest time from which it is known to be so, likewise.
    """

    reachable: bool | None = None
    reason: str = ""
    text: str = ""
    at: float = 0.0
    since: float = 0.0


@dataclass(frozen=True, slots=True)
class Backlog:
    """One queue as the broker has it.

    waiting: messages that are ready and no consumer has; None where it could not be asked.
    consumers: of the whole fleet; None likewise.
    rate_in, rate_out: messages a second that came and went; None where there are no two looks to compare, or it can't be known.
    oldest: seconds for which the oldest waiting message has waited, an estimate; None where it can't be known.
    unseen: why the broker could not be asked about it; empty where it was.
    dead: messages in its dead-letter queue; None where it has none, or that can't be told.
    """

    waiting: int | None = None
    consumers: int | None = None
    rate_in: float | None = None
    rate_out: float | None = None
    oldest: float | None = None
    unseen: str = ""
    dead: int | None = None


UNASKED = Backlog(unseen="the broker has not been asked yet")
UNREACHED = Broker(text="the broker has not been asked yet")
