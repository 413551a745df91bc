"""The words for a worker's state and a queue's health: all that commands have to know of what decides about both."""

from __future__ import annotations

from enum import Enum, StrEnum


class State(Enum):
    """Where a worker is in its life; the values are the words that people see."""

    STOPPED = "stopped"
    STARTING = "starting"
    CONNECTING = "connecting"
    CONSUMING = "consuming"
    STOPPING = "stopping"
    BACKOFF = "backoff"


class Word(StrEnum):
    """What a queue's health can be."""

    OK = "ok"
    IDLE = "idle"
    BUSY = "busy"
    SATURATED = "saturated"
    STUCK = "stuck"
    HUNG = "hung"
    DEAF = "deaf"
    BROKER_DOWN = "broker_down"
    STARTING = "starting"
    DRAINING = "draining"
    BACKOFF = "backoff"
    QUARANTINED = "quarantined"


UNHEALTHY = frozenset({Word.STUCK, Word.HUNG, Word.DEAF, Word.BACKOFF, Word.QUARANTINED})
TROUBLES = UNHEALTHY | {Word.BROKER_DOWN}  # nothing is run; what is said of it is worth a line
NOTED = TROUBLES | {Word.SATURATED}  # a change to or from these is logged
EXPLAINED = TROUBLES | {Word.BUSY}  # and another cause of these
