"""Dead letters as text for a terminal."""

from __future__ import annotations

import json
from collections.abc import Sequence, Set
from datetime import UTC, datetime

from agent.cli.table import fit, table, terminal_width
from agent.guest.dead_letter import DeadLetter

HEADINGS = ("ID", "QUEUE", "TASK", "ARGUMENTS", "REASON", "DEATHS", "FIRST", "LAST")
RIGHT = {"DEATHS"}
DISPENSABLE = ("FIRST", "TASK", "DEATHS", "ARGUMENTS", "LAST")  # columns that go on a narrow terminal, in this order
LONGEST_ARGUMENTS = 40  # characters in a listing; `show` has all
SHORTEST_ID = 8  # characters, as many more as it takes to tell the letters apart
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
    headers = json.dumps(letter.headers or {}, indent=2).replace("\n", "\n" + INDENT)
    lines = {
        "id": letter.id,
        "queue": letter.queue,
        "task": letter.task or "-",
        "arguments": arguments(letter),
        "reason": f"{letter.reason}: {letter.text}",
        "deaths": f"{letter.deaths}, first {moment(letter.first)}, last {moment(letter.last)}",
        "headers": headers,
        "body": letter.body or "",
    }
    return "\n".join(f"{name:<{len(INDENT)}}{text}" for name, text in lines.items())


def arguments(letter: DeadLetter) -> str:
    """Return the task's arguments as they are written in a call, or "-" where they are not known."""
    if letter.args is None or letter.kwargs is None:
        return "-"
    named = (f"{name}={value!r}" for name, value in letter.kwargs.items())
    return ", ".join([*map(repr, letter.args), *named])


def moment(seconds: float | None) -> str:
    """Return a time in this host's time zone."""
    if seconds is None:
        return "-"
    return datetime.fromtimestamp(seconds, UTC).astimezone().strftime("%Y-%m-%d %H:%M:%S")


def _row(letter: DeadLetter, width: int) -> tuple[str, ...]:
    text = arguments(letter)
    short = text if len(text) <= LONGEST_ARGUMENTS else text[: LONGEST_ARGUMENTS - 1] + "…"
    times = (moment(letter.first), moment(letter.last))
    return (letter.id[:width], letter.queue, letter.task or "-", short, letter.reason, str(letter.deaths), *times)


def _enough(ids: Set[str]) -> int:
    """Return how many characters tell all ids apart."""
    width = SHORTEST_ID
    while len({each[:width] for each in ids}) < len(ids):
        width += 1
    return width
