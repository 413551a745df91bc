"""What is seen of a queue from outside of what its worker has reported."""

from __future__ import annotations

from agent.decide.backlog import UNASKED, UNREACHED, Backlog, Broker
from agent.guest.scoreboard import Pulse
from agent.guest.values import dataclass


@dataclass(frozen=True, slots=True)
class Seen:
    """One look at a queue's current worker.

    pulse: None where its process has written none. is_stopped: whether the process is, as by SIGSTOP.
    """

    pulse: Pulse | None = None
    backlog: Backlog = UNASKED
    is_stopped: bool = False
    broker: Broker = UNREACHED


UNSEEN = Seen()
