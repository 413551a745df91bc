"""Some of many, in words for people."""

from collections.abc import Sequence

MOST_NAMED = 3


def some_of(names: Sequence[str], count: int) -> str:
    """Return which of so many tasks are meant, with the verb: "2 of 9 tasks (a, b) are"."""
    if len(names) == count:
        return f"all {count} tasks are" if count > 1 else f"its task {names[0]} is"
    return f"{len(names)} of {count} tasks ({first_of(names)}) {'is' if len(names) == 1 else 'are'}"


def first_of(names: Sequence[str]) -> str:
    """Return the first names, and how many more there are."""
    more = f" and {len(names) - MOST_NAMED} more" if len(names) > MOST_NAMED else ""
    return f"{', '.join(names[:MOST_NAMED])}{more}"
