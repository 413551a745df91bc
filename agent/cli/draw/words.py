"""What a status says, in the few words that a picture has room for."""

from __future__ import annotations

from agent.cli.draw.model import Mark, Tone
from agent.cli.plain import plain
from agent.cli.render import duration
from agent.decide.status import QueueStatus

SEPARATOR = " · "

_TONES = {
    "ok": Tone.GOOD,
    "idle": Tone.GOOD,
    "consuming": Tone.GOOD,
    "busy": Tone.BUSY,
    "saturated": Tone.BUSY,
    "starting": Tone.PASSING,
    "draining": Tone.PASSING,
    "stopping": Tone.PASSING,
    "leaving": Tone.PASSING,
    "waiting for broker": Tone.PASSING,
    "running": Tone.PASSING,
    "not running": Tone.OFF,
}


def mark(word: str) -> Mark:
    """Return a state with its tone; one that is not known here is taken for a bad one, as most states are that are added."""
    return Mark(plain(word).replace("_", " "), _TONES.get(word, Tone.BAD))


def state_of(queue: QueueStatus) -> Mark:
    """Return how a worker does: its health, else the state that `agent status` shows."""
    if queue.health:
        return mark(queue.health)
    if not queue.wanted:
        return mark("leaving")
    if queue.unresponsive is not None:
        return mark("unresponsive")
    if queue.state == "consuming" and queue.obstacle is not None:
        return mark("held up")
    return mark(queue.state_in_words)


def cause_of(queue: QueueStatus) -> str:
    """Return why a worker does not do well, in a sentence; empty where it does, or nobody knows."""
    if queue.cause:
        return queue.cause
    parts = [queue.trouble() or ""] if queue.obstacle or queue.last_exit or queue.not_started else []
    if queue.retry_in is not None:
        parts.append(f"next try in {duration(max(0.0, queue.retry_in))}")
    if queue.losing is not None:
        parts.append(f"results are lost: {queue.losing}")
    return ", ".join(filter(None, parts))


def rate(value: float | None) -> str:
    """Return messages a second in at most 7 characters, empty where they are not known."""
    if value is None:
        return ""
    for size, unit in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if value >= size:
            return f"{_short(value / size)}{unit}/s" if value < 999 * size else f">999{unit}/s"
    return f"{_short(value)}/s"


def _short(value: float) -> str:
    if 0 < value < 0.995:
        return f"{value:.2f}" if value > 0.005 else "<0.01"
    return f"{value:.1f}" if 0 < value < 99 else f"{value:.0f}"


def count(number: int, one: str, several: str | None = None) -> str:
    """Return a number with its noun."""
    return f"{number:,} {one if number == 1 else several or one + 's'}"


def backlog(waiting: int | None, oldest: float | None, consumers: int | None, drawn: int) -> tuple[str, ...]:
    """Return what the broker says of a queue, nothing where it was not asked.

    drawn: consumers that can be seen anyway.
    """
    first = [f"{waiting:,} waiting"] if waiting is not None else []
    if oldest is not None and waiting:
        first.append(f"oldest {duration(oldest)}")
    second = [count(consumers, "consumer")] if consumers not in (None, drawn) else []
    return tuple(SEPARATOR.join(each) for each in (first, second) if each)


def short_name(task: str) -> str:
    """Return what tells a task from the others of its queue: of `module:Class` the class."""
    return task.rpartition(":")[2] or task
