"""Dead letters as text for a terminal."""

from __future__ import annotations

import json
from collections.abc import Sequence, Set
from datetime import UTC, datetime
from itertools import pairwise

from agent.cli.plain import plain
from agent.cli.table import fit, table, terminal_width
from agent.guest.dead_letter import DeadLetter

HEADINGS = ("ID", "QUEUE", "TASK", "ARGUMENTS", "REASON", "DEATHS", "FIRST", "LAST")
RIGHT = {"DEATHS"}
DISPENSABLE = ("FIRST", "TASK", "DEATHS", "ARGUMENTS", "LAST")  # columns that go on a narrow terminal, in this order
LONGEST_ARGUMENTS = 40  # characters in a listing; `show` has all
LONGEST_TASK = 80
SHORTEST_ID = 8  # characters, as many more as it takes to tell the letters apart
LONGEST_ID = 64  # twice a usual one; those that begin alike for longer are told apart by --json
INDENT = " " * 13


def listing(instance: str, letters: Sequence[DeadLetter]) -> str:
    """Return letters as a table, in their order."""
    if not letters:
        return f"{instance}: no dead letters"
    width = _enough({letter.id for letter in letters})
    rows = [HEADINGS, *(_row(letter, width) for letter in letters)]
    terminal = terminal_width()
    fitted = rows if terminal is None else fit(rows, terminal - 2, DISPENSABLE)
    count = f"{len(letters)} dead letter{'' if len(letters) == 1 else 's'}"
    return "\n".join([f"{instance}: {count}", "", *("  " + line for line in table(fitted, RIGHT))])


def whole(letter: DeadLetter) -> str:
    """Return all of a letter."""
    headers = json.dumps(letter.headers or {}, indent=2).replace("\n", "\n" + INDENT)  # of ASCII alone
    traceback = f"\n{INDENT}".join(map(plain, (letter.traceback or "").rstrip().splitlines()))
    lines = {
        "id": letter.id,
        "queue": letter.queue,
        "task": letter.task or "-",
        "arguments": arguments(letter),
        "reason": f"{letter.reason}: {letter.text}",
        "deaths": f"{letter.deaths}, first {moment(letter.first)}, last {moment(letter.last)}",
        **({"traceback": traceback} if traceback else {}),
        "headers": headers,
        "body": letter.body or "",
    }
    shown = {name: text if text in (headers, traceback) else plain(text) for name, text in lines.items()}
    return "\n".join(f"{name:<{len(INDENT)}}{text}" for name, text in shown.items())


def arguments(letter: DeadLetter) -> str:
    """Return the task's arguments as they are written in a call, or "-" where they are not known."""
    if letter.args is None or letter.kwargs is None:
        return "-"
    named = (f"{name}={value!r}" for name, value in letter.kwargs.items())
    return ", ".join([*map(repr, letter.args), *named])


def moment(seconds: float | None) -> str:
    """Return a time in this host's time zone; one that no calendar has as it is."""
    if seconds is None:
        return "-"
    try:
        return datetime.fromtimestamp(seconds, UTC).astimezone().strftime("%Y-%m-%d %H:%M:%S")
    except (ValueError, OverflowError, OSError):
        return f"{seconds:g}"


def _row(letter: DeadLetter, width: int) -> tuple[str, ...]:
    task, called = _short(letter.task or "-", LONGEST_TASK), _short(arguments(letter), LONGEST_ARGUMENTS)
    times = (moment(letter.first), moment(letter.last))
    return (letter.id[:width], letter.queue, task, called, letter.reason, str(letter.deaths), *times)


def _short(text: str, longest: int) -> str:
    return text if len(text) <= longest else text[: longest - 1] + "…"


def _enough(ids: Set[str]) -> int:
    """Return how many characters tell all ids apart, LONGEST_ID at most."""
    return min(LONGEST_ID, max([SHORTEST_ID, *(_shared(*pair) + 1 for pair in pairwise(sorted(ids)))]))


def _shared(one: str, other: str) -> int:
    """Return with how many characters both texts begin."""
    pairs = enumerate(zip(one, other, strict=False))
    return next((place for place, (mine, yours) in pairs if mine != yours), min(len(one), len(other)))
