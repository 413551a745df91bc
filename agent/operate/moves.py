"""Moves tasks that wait in one queue into a safe one; the work is done by `agent.guest.answer.moving`, beside user code."""

from __future__ import annotations

from collections.abc import Mapping

from agent.config.planner import template_of
from agent.config.validation import Configuration
from agent.errors import AgentError
from agent.guest.secrets import redacted
from agent.guest.values import dataclass
from agent.operate.desk import check_queue
from agent.operate.inquiry import inquire, unfinished


@dataclass(frozen=True, slots=True)
class Moved:
    """What became of one queue.

    count: messages that went from `source` to `queue`. left: how many wait in `source` now, None where there is none.
    consumers: workers that still read it.
    """

    source: str
    queue: str
    count: int
    left: int | None
    consumers: int
    deleted: bool


@dataclass(frozen=True, slots=True)
class Order:
    """What to move.

    queue: where to, None for each safe queue. source: from where, None for the queue of the same name that was there before.
    seconds: for how long to go on, 0 for as long as there is something.
    delete: whether the old queue is to go, once it is empty and nobody reads it.
    """

    queue: str | None
    source: str | None
    seconds: float
    delete: bool


def move(
    configuration: Configuration, environment: Mapping[str, str], order: Order
) -> tuple[tuple[Moved, ...], tuple[str, ...]]:
    """Return what was moved, and what is to be told beside it: messages that can't be moved.

    Raises InvalidConfiguration where the instance's code can't be loaded; AgentError where it went no further: what was moved
    until then stays moved.
    """
    template = template_of(configuration, environment)
    step = {
        "module": "moving",
        "queue": order.queue,
        "source": order.source,
        "seconds": order.seconds,
        "delete": order.delete,
    }
    discovery, answer = inquire(configuration, template, step)
    check_queue(configuration, discovery, order.queue)
    problem = redacted(
        unfinished(answer, "The move", "give the command again: nothing is lost or doubled"), template.environment
    )
    if problem:
        raise AgentError(problem)
    stays = tuple(f"A message stays in {each['source']!r}: {each['text']}." for each in answer.all("stays"))
    return tuple(Moved(**each) for each in answer.all("moved")), stays
