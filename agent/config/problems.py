"""What is wrong with an instance's configuration, as a list: an operator wants all of it, not one thing at a time."""

from __future__ import annotations

from agent.errors import ConfigurationError
from agent.guest.values import dataclass


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that keeps an instance from being run.

    line: what is wrong, where, and what to do, on one line.
    detail: more for whoever asks, such as a traceback; it may have many lines.
    """

    line: str
    detail: str = ""


class InvalidConfiguration(ConfigurationError):
    """A configuration has one problem or more; as text it is the first one's line, and how many others there are."""

    def __init__(self, problems: tuple[Problem, ...]) -> None:
        """Take the problems, the one to be shown first at the front."""
        first, others = problems[0].line, len(problems) - 1
        super().__init__(f"{first} (`agent check` lists {others} more.)" if others else first)
        self.problems = problems


def invalid(line: str) -> InvalidConfiguration:
    """Return the error for a single problem."""
    return InvalidConfiguration((Problem(line),))
