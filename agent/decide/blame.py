"""Which tasks are suspected of ending their worker: (suspects, who ran when it ended, cause, most) -> suspects.

    what is known of a task        it ran when its worker ended   what is known then
    -----------------------------  -----------------------------  ----------------------------------------------------
    nothing                        yes                            1 death
    fewer deaths than the most     yes, alone                     1 death more, and its cause
    fewer deaths than the most     yes, beside others             the same, but less than the most: it may be another's
    the most deaths, or more       yes                            1 death: it was set aside, and has been sent once more
    anything                       no                             the same

Only what ran can have done it: what was fetched ahead and had not begun is no suspect. Nobody tells which of those that ran did
it. So the next worker takes what comes again one at a time (`celery_delivery.worker.careful`), and its death has one suspect. A
task is set aside for its last death only where it ran alone.

It is bounded: a queue has MOST_SUSPECTS, of which the least recent are forgotten, and an id above LONGEST_ID can't be one.
"""

from __future__ import annotations

from collections.abc import Iterable

from agent.guest.messages import Suspect

MOST_SUSPECTS = 100  # for each queue: they go to its next worker in one datagram
LONGEST_ID = 100  # characters; Celery's own have 36
LONGEST_CAUSE = 100  # characters

Suspects = tuple[Suspect, ...]


def blamed(suspects: Suspects, running: Iterable[str], cause: str, most: int) -> Suspects:
    """Return the suspects of a queue, the least recent first, once a process has ended that nobody had told to.

    running: the ids of the tasks that it ran. cause: how it ended, for people. most: deaths after which a task is set aside.
    """
    known, ran = {each.id: each for each in suspects}, tuple(running)
    for task_id in ran:
        if len(task_id) <= LONGEST_ID:
            before = known.pop(task_id, None)
            known[task_id] = _after(before, task_id, cause, most, is_alone=len(ran) == 1)
    return tuple(known.values())[-MOST_SUSPECTS:]


def _after(before: Suspect | None, task_id: str, cause: str, most: int, *, is_alone: bool) -> Suspect:
    if before is None or before.deaths >= most:
        before = Suspect(task_id, 0, cause[:LONGEST_CAUSE], was_alone=False)
    causes = before.cause if cause in before.cause else f"{before.cause}, {cause}"
    deaths = before.deaths + 1
    deaths = deaths if is_alone else min(deaths, most - 1)
    return Suspect(task_id, deaths, causes[:LONGEST_CAUSE], was_alone=before.was_alone or is_alone)
