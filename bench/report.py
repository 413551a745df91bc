"""Figures as Markdown: tables in which each peer stands beside the agent, and whether the aims are reached."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum

NEVER = float("inf")  # the value of what was waited for and did not happen

Row = Sequence["Quantity"]


@dataclass(frozen=True, slots=True)
class Quantity:
    """A measured value."""

    value: float
    unit: str

    def __str__(self) -> str:
        if self.value == NEVER:
            return "never"
        digits = 0 if self.value >= 100 or self.value == 0 else 1 if self.value >= 10 else 2 if self.value >= 0.1 else 3
        return f"{self.value:,.{digits}f} {self.unit}"

    def beside(self, base: Quantity) -> str:
        """Return the value and what multiple of the base it is, where that says something."""
        if self.unit == "%" or {0, NEVER} & {self.value, base.value}:
            return str(self)
        times = self.value / base.value
        return f"{self} ({times:.{2 if times < 1 else 1 if times < 10 else 0}f}x)"


class Side(Enum):
    """On which side of a limit a value is to be."""

    AT_LEAST = "at least"
    AT_MOST = "at most"


def aim(what: str, value: Quantity, side: Side, limit: float) -> str:
    """Return what was aimed at, the value, and whether it is on the right side of the limit."""
    reached = value.value >= limit if side is Side.AT_LEAST else value.value <= limit
    return f"| {what} | {side.value} {limit:g} {value.unit} | {value} | {'reached' if reached else '**missed**'} |"


def table(headings: Sequence[str], rows: Mapping[str, Row]) -> list[str]:
    """Return the lines of a table with a row for each contender; the first one is what the others are compared with."""
    base = next(iter(rows.values()))
    texts = {
        name: [str(value) if row is base else value.beside(of) for value, of in zip(row, base, strict=True)]
        for name, row in rows.items()
    }
    rule = ["---", *("---:" for _ in headings)]
    return [_line(["", *headings]), _line(rule), *(_line([name, *cells]) for name, cells in texts.items())]


def inserted(document: str, mark: str, text: str) -> str:
    """Return a document with the text in place of whatever stands behind its mark; raises ValueError without one."""
    before, found, _ = document.partition(mark)
    if not found:
        raise ValueError(f"there is no line {mark!r}")
    return f"{before}{mark}\n\n{text}\n"


def renewed(document: str, section: Sequence[str]) -> str:
    """Return a document with a section in place of the one with the same title, or at the end where there is none."""
    before, _, rest = f"{document.rstrip()}\n\n".partition(f"{section[0]}\n")
    _, next_title, behind = rest.partition("\n### ")
    text = "\n".join(section).rstrip()
    return f"{before}{text}\n{next_title}{behind}".rstrip() + "\n"


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"
