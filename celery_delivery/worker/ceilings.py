"""What a message asks for, and the limits of this node: the lower one holds.

header       in stock Celery                                          here
-----------  -------------------------------------------------------  ------------------------------------------------
timelimit    wins over the limits of the worker and of the task       holds where it is below the task's, and where
                                                                      that has none, below the worker's
retries      any number: below 0, a task is retried more often than   a number that can't have come about is a dead
             it says; with 1e9 the pause is not to be computed        letter
"""

from collections.abc import Mapping
from typing import Any

from celery import Task
from celery.exceptions import InvalidTaskError

MOST_RETRIES = 1_000_000

_NONE = [None, None]


class Ceilings:
    """The time limits of one worker, in seconds; None for no limit."""

    def __init__(self, hard: float | None, soft: float | None) -> None:
        self._hard, self._soft = hard, soft

    @classmethod
    def of(cls, pool: Any) -> "Ceilings":
        """Return those of a pool; only prefork has any."""
        options = getattr(pool, "options", {})
        return cls(options.get("timeout"), options.get("soft_timeout"))

    def hold(self, tasks: Mapping[str, Task], message: Any) -> None:
        """Have a message ask for no more than is allowed here; raises InvalidTaskError for what is no limit or number.

        `arguments_of` has looked at the message.
        """
        headers = message.headers
        retries = headers.get("retries")
        if retries and not (type(retries) is int and 0 < retries <= MOST_RETRIES):
            raise InvalidTaskError(f"the header `retries` is {retries!r}")
        self.hold_limits(tasks, message)

    def hold_limits(self, tasks: Mapping[str, Task], message: Any) -> None:
        """Have a message ask for no higher time limits than are allowed here; raises InvalidTaskError for what is none."""
        headers = message.headers
        asked = headers.get("timelimit")
        if asked and asked != _NONE:
            headers["timelimit"] = self._held(asked, tasks.get(headers.get("task") or message.payload["task"]))

    def _held(self, asked: Any, task: Task | None) -> list[float | None]:
        match asked:
            case [int() | float() | None as hard, int() | float() | None as soft]:
                hardest = getattr(task, "time_limit", None) or self._hard
                softest = getattr(task, "soft_time_limit", None) or self._soft
                return limits(hard, soft, hardest, softest)
        raise InvalidTaskError(f"the header `timelimit` is {asked!r}")


def limits(hard: float | None, soft: float | None, hardest: float | None, softest: float | None) -> list[float | None]:
    """Return the hard and the soft limit that are asked for where they are below the others, else None: those hold anyway.

    A soft limit is never above the hard one: a pool of Celery's begins to look at the hard one when the soft one has passed.
    """
    hard = _lower(hard, hardest)
    most = min((each for each in (hard or hardest, softest) if each), default=None)
    soft = _lower(soft, most)
    return [hard, hard if soft is None and hard and softest and hard < softest else soft]


def _lower(asked: float | None, ceiling: float | None) -> float | None:
    return asked if asked and 0 < asked < (ceiling or float("inf")) else None
