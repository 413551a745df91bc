"""Whose place a newcomer gets where all are taken: nobody keeps others from asking by asking a lot.

Of the user who has most places it is one; of that user's processes it is one that has most; there it is one who is silent
rather than one who waits, and the oldest of these. The newcomer counts, but does not go.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from agent.control.peer import Peer
from agent.guest.values import dataclass


@dataclass(frozen=True, slots=True)
class Place:
    """One that is taken; `is_silent`: its holder has not asked yet, or does not take the answer."""

    holder: Peer
    is_silent: bool


def to_be_given_up(places: Sequence[Place], newcomer: Peer) -> int:
    """Return the index of the place that is to be given up; the oldest stands first, and there is one at least."""
    users = Counter([newcomer.uid, *(place.holder.uid for place in places)])
    processes = Counter([newcomer, *(place.holder for place in places)])

    def reasons(index: int) -> tuple[int, int, bool, int]:
        place = places[index]
        return users[place.holder.uid], processes[place.holder], place.is_silent, -index

    return max(range(len(places)), key=reasons)
