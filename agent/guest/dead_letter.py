"""Dead letters, as the two halves of the desk tell one another of them: the agent's, and the one beside user code."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from .values import dataclass


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A task that could not be done.

    queue: the task queue that it comes from, and goes back to.
    id: of the task; made from the body where the message has none.
    task: the task's name, "" where it can't be known.
    args, kwargs: what run was to be called with; None where they can't be known.
    reason, text: why it is dead: a word of the table in `agent.guest.answer.letters`, and a sentence.
    deaths: how often it died: became a dead letter, or, of reason crashes, ended its process.
    first, last: when it first and last died, in seconds since 1970; None where nobody noted it.
    headers, body: of the message, where they were asked for; traceback: likewise, of a task that failed.
    """

    queue: str
    id: str
    task: str
    args: Sequence[Any] | None
    kwargs: Mapping[str, Any] | None
    reason: str
    text: str
    deaths: int
    first: float | None
    last: float | None
    headers: Mapping[str, Any] | None = None
    body: str | None = None
    traceback: str | None = None


@dataclass(frozen=True, slots=True)
class Done:
    """A letter that was replayed or purged."""

    id: str
    queue: str
