"""What several looks at a queue tell together: how fast it fills and empties, and how long a message waits at least.

A queue is taken to hand out what came first. What a worker holds and has not ended yet counts as gone, so what follows is as
exact as its prefetch is small.
"""

from __future__ import annotations

from collections.abc import Mapping

from agent.guest.values import dataclass

SHORTEST, LONGEST = 2.0, 30.0  # seconds between two looks that rates are taken from
RECENT = 60.0  # seconds for which each look is kept; of those before, as many as are needed to tell an age by
MOST = 64  # looks


@dataclass(frozen=True, slots=True)
class Look:
    """A queue at one time, in seconds of the monotonic clock.

    waiting: messages that are ready.
    done: tasks that each process of this node has ended, by its generation.
    alone: whether nobody but this node consumes.
    """

    at: float
    waiting: int
    done: Mapping[int, int]
    alone: bool


Looks = tuple[Look, ...]


def added(looks: Looks, look: Look) -> Looks:
    """Return looks with another one; of those that are no longer recent every second one goes, where they are many."""
    looks = (*looks, look)
    if len(looks) <= MOST:
        return looks
    recent = tuple(each for each in looks if look.at - each.at < RECENT)
    return (*looks[: -len(recent)][::2], *recent)


def rates(looks: Looks) -> tuple[float | None, float | None]:
    """Return the messages a second that came, and those that this node took; None where that can't be told.

    What came is the growth of the queue and what was taken; where others take too, nobody knows how much.
    """
    newest, first, alone = looks[-1], None, looks[-1].alone
    for each in reversed(looks):
        age = newest.at - each.at
        if age > LONGEST:
            break
        if age >= SHORTEST:
            first, alone = each, alone and each.alone
    if first is None:
        return None, None
    seconds = newest.at - first.at
    went = _ended(first, newest) / seconds
    return (max(0.0, (newest.waiting - first.waiting) / seconds + went) if alone else None), went


def oldest(looks: Looks) -> float | None:
    """Return for how many seconds the oldest waiting message has waited at least; None where none does, or nobody knows.

    What waited at a look is there still where fewer have been taken since.
    """
    newest = looks[-1]
    if not newest.waiting or not newest.alone:
        return None
    begin = max((place for place, each in enumerate(looks, 1) if not each.waiting or not each.alone), default=0)
    return next(newest.at - each.at for each in looks[begin:] if _ended(each, newest) < each.waiting)


def _ended(before: Look, after: Look) -> int:
    return sum(max(0, count - before.done.get(generation, 0)) for generation, count in after.done.items())
