"""Rows of words as a table for a terminal; a word never has more than its place in it, whoever has written it."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Collection, Sequence

from agent.cli.plain import plain

GAP = 2  # characters between two columns
SHORTEST = 12  # characters that are left of a word, at least


def terminal_width() -> int | None:
    """Return how many characters a line may have, or None where the output goes elsewhere than to a terminal."""
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else None


def fit(rows: Sequence[Sequence[str]], width: int, dispensable: Sequence[str]) -> list[tuple[str, ...]]:
    """Return rows that fit into so many characters: without columns that can be spared, then with the first one shorter.

    dispensable: headings of the columns that may go, in the order of going.
    """
    fitted = _plain(rows)
    for heading in dispensable:
        if _width(fitted) <= width:
            return fitted
        column = fitted[0].index(heading)
        fitted = [row[:column] + row[column + 1 :] for row in fitted]
    longest = max(SHORTEST, _widths(fitted)[0] - max(0, _width(fitted) - width))
    return [(_shortened(row[0], longest), *row[1:]) for row in fitted]


def table(rows: Sequence[Sequence[str]], right: Collection[str]) -> list[str]:
    """Return rows as lines, the first one headings; columns whose heading is in `right` are aligned there."""
    shown = _plain(rows)
    widths = _widths(shown)
    return [
        (" " * GAP)
        .join(
            text.rjust(width) if heading in right else text.ljust(width)
            for text, width, heading in zip(row, widths, shown[0], strict=True)
        )
        .rstrip()
        for row in shown
    ]


def _plain(rows: Sequence[Sequence[str]]) -> list[tuple[str, ...]]:
    return [tuple(map(plain, row)) for row in rows]


def _widths(rows: Sequence[Sequence[str]]) -> list[int]:
    return [max(map(len, column)) for column in zip(*rows, strict=True)]


def _width(rows: Sequence[Sequence[str]]) -> int:
    widths = _widths(rows)
    return sum(widths) + GAP * (len(widths) - 1)


def _shortened(text: str, longest: int) -> str:
    """Return a text without its middle: names differ at their beginning and their end."""
    if len(text) <= longest:
        return text
    end = (longest - 1) // 2
    return f"{text[: longest - 1 - end]}…{text[-end:]}"
