"""The rows of docs/user-guide.md, and the case that plays each of them."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.guide.fleet import Fleet

PAGE = Path(__file__).parents[2] / "docs" / "user-guide.md"
CHAPTERS = (
    "application",
    "tasks",
    "retries",
    "options",
    "states",
    "calling",
    "sending",
    "results",
    "canvas",
    "workflows",
    "workers",
    "periodic",
    "routing",
    "monitoring",
    "signals",
    "elsewhere",
)  # modules tests.guide.cases_…
Case = Callable[["Fleet"], None]
CASES: dict[str, Case] = {}


@dataclass(frozen=True, slots=True)
class Row:
    """One feature of the guide, and what is said about it."""

    chapter: str
    feature: str
    verdict: str

    @property
    def key(self) -> str:
        """What ties the row to its case: chapter and feature as they stand on the page, without marks of code."""
        return f"{self.chapter}: {self.feature.replace('`', '')}"


def rows() -> list[Row]:
    """Return the page's rows in their order."""
    found, chapter = [], ""
    for line in PAGE.read_text().splitlines():
        if line.startswith("## "):
            chapter = line.removeprefix("## ")
        cells = [cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]]
        if len(cells) == 2 and cells[0] != "Celery" and not set(cells[0]) <= {"-"}:
            found.append(Row(chapter, cells[0].replace("\\|", "|"), cells[1]))
    return found


def of(chapter: str) -> Callable[[str], Callable[[Case], Case]]:
    """Return the decorator that makes a function the case of a feature of that chapter."""

    def row(feature: str) -> Callable[[Case], Case]:
        def keep(case: Case) -> Case:
            key = f"{chapter}: {feature}"
            assert key not in CASES, f"two cases of {key}"
            CASES[key] = case
            return case

        return keep

    return row


def cases() -> dict[str, Case]:
    """Return all cases by the keys of their rows."""
    for name in CHAPTERS:
        import_module(f"tests.guide.cases_{name}")
    return CASES
