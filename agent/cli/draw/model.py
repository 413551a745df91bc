"""The stack that tasks go through, as values: what is drawn, and not yet where.

    Graph ── Stack, one for each broker ── Exchange ── Queue ── Strand: worker, pool, tasks

All texts are printable and on one line, whoever has written them. A box that is None is not known, and nothing is drawn for it.
"""

from __future__ import annotations

from enum import Enum

from agent.guest.values import dataclass


class Tone(Enum):
    """How a state is to be taken; a picture has a colour and a shape for each, and never one without a word."""

    GOOD = "good"
    BUSY = "busy"
    PASSING = "passing"
    BAD = "bad"
    OFF = "off"


@dataclass(frozen=True, slots=True)
class Mark:
    """A state: its word, and its tone."""

    word: str
    tone: Tone


@dataclass(frozen=True, slots=True)
class Box:
    """One part of the stack: its name, and what is said below it, the more important first.

    more: all that a reader may want to know who points at it; empty where that is the name.
    """

    name: str
    lines: tuple[str, ...] = ()
    more: str = ""


@dataclass(frozen=True, slots=True)
class Pool:
    """What runs tasks: `busy` of `places`, and whether there is a process at all."""

    box: Box
    places: int
    busy: int
    is_there: bool


@dataclass(frozen=True, slots=True)
class Strand:
    """One worker of a queue.

    takes: whether it takes tasks from the queue. cause: a sentence on what is wrong, empty where nothing is known to be.
    """

    worker: Box
    mark: Mark
    takes: bool
    pool: Pool
    tasks: Box | None
    cause: str


@dataclass(frozen=True, slots=True)
class Queue:
    """A queue at a broker, and the workers that serve it.

    rate_in, rate_out: what comes and goes, as words; empty where it is not known. dead: where its dead letters go.
    """

    box: Box
    rate_in: str
    rate_out: str
    dead: Box | None
    strands: tuple[Strand, ...]


@dataclass(frozen=True, slots=True)
class Exchange:
    """What leads to some queues; `box` is None where it is not known that there is an exchange."""

    box: Box | None
    queues: tuple[Queue, ...]


@dataclass(frozen=True, slots=True)
class Absent:
    """An instance that has no queue to be drawn: it does not run, gives no answer, or has only begun."""

    box: Box
    mark: Mark


@dataclass(frozen=True, slots=True)
class Stack:
    """All that goes through one broker; `name` is empty where it is not known. sources: what sends."""

    name: str
    notes: tuple[str, ...]
    sources: tuple[Box, ...]
    exchanges: tuple[Exchange, ...]
    absent: tuple[Absent, ...]


@dataclass(frozen=True, slots=True)
class Graph:
    """All of it."""

    stacks: tuple[Stack, ...]
