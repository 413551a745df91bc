"""What a ledger says about a run: nothing but functions over its entries."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import inf

from tests.chaos.ledger import Entry, Fact


@dataclass(frozen=True, slots=True)
class Verdict:
    """What became of the accepted tasks.

    accepted: how many the broker has taken on.
    lost: accepted, but neither ended nor kept as a dead letter.
    twice: started more than once, which `task_acks_late` allows and an author must expect.
    kept: accepted, not ended, and kept as a dead letter.
    interrupted: executions that began and did not end.
    refused: attempts to send that raised; the producer sent again, with the same id.
    """

    accepted: int
    lost: frozenset[str]
    twice: frozenset[str]
    kept: frozenset[str]
    interrupted: int
    refused: int


def judge(entries: Iterable[Entry], dead_letters: frozenset[str]) -> Verdict:
    """Return what became of the tasks of a run that is over; `dead_letters` are the ids that the broker keeps."""
    counts = Counter((entry.fact, entry.task) for entry in entries)
    totals = Counter(fact for fact, _ in counts.elements())
    ended = {task for fact, task in counts if fact is Fact.ENDED}
    missing = {task for fact, task in counts if fact is Fact.ACCEPTED} - ended
    return Verdict(
        accepted=sum(1 for fact, _ in counts if fact is Fact.ACCEPTED),
        lost=frozenset(missing - dead_letters),
        twice=frozenset(task for (fact, task), count in counts.items() if fact is Fact.STARTED and count > 1),
        kept=frozenset(missing & dead_letters),
        interrupted=totals[Fact.STARTED] - totals[Fact.ENDED],
        refused=totals[Fact.REFUSED],
    )


def unsettled(entries: Iterable[Entry]) -> set[str]:
    """Return the tasks that were accepted and have not ended so far."""
    tasks: dict[Fact, set[str]] = {fact: set() for fact in Fact}
    for entry in entries:
        tasks[entry.fact].add(entry.task)
    return tasks[Fact.ACCEPTED] - tasks[Fact.ENDED]


def running(entries: Iterable[Entry]) -> dict[str, Entry]:
    """Return the start of each task that has started and not ended since."""
    started: dict[str, Entry] = {}
    for entry in entries:
        if entry.fact is Fact.STARTED:
            started[entry.task] = entry
        elif entry.fact is Fact.ENDED:
            started.pop(entry.task, None)
    return started


def recovery(entries: Sequence[Entry], moments: Sequence[float]) -> float | None:
    """Return the longest time, over all moments, until a task that was sent after the moment has started.

    So it holds all that a user waits for: the producer's way back to the broker, the worker's, and what had queued up.
    Infinity where nothing that was sent after a moment has started before the next one, None where nothing was sent.
    """
    spans = [_first_start(entries, moment, next_one) for moment, next_one in pairwise([*moments, inf])]
    return max((span for span in spans if span is not None), default=None)


def _first_start(entries: Sequence[Entry], moment: float, until: float) -> float | None:
    sent = {entry.task: entry.at for entry in entries if entry.fact is Fact.OFFERED}  # its latest attempt
    if not any(moment <= at < until for at in sent.values()):
        return None
    starts = (
        entry.at
        for entry in entries
        if entry.fact is Fact.STARTED and moment <= sent.get(entry.task, -inf) <= entry.at < until
    )
    return min(starts, default=inf) - moment
