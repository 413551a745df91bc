"""The table in a document: one row a fault and pool, the safe profile beside the article's, in Markdown.

A part that is played takes its place in the table that is there; what was not played again stays.
"""

from __future__ import annotations

import math
import os
import platform
import subprocess
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

from tests.chaos.run import Outcome
from tests.rabbitmq import TOOLS

PROFILES = ("safe", "article")
COLUMNS = ("accepted", "lost", "run twice", "recovery")
BEGIN, END = "<!-- chaos: begin, written by `make chaos` -->", "<!-- chaos: end -->"

_HEAD = [f"{profile}: {column}" if not at else column for profile in PROFILES for at, column in enumerate(COLUMNS)]
_HEAD_ROWS = [["fault", "pool", *_HEAD, "played"], ["---", "---", *["---:"] * len(_HEAD), "---"]]


def render(outcomes: Sequence[Outcome], facts: str, order: Sequence[tuple[str, str]], before: str = "") -> str:
    """Return the table, with the machine's facts above it and the troubles below.

    order: fault and pool of each row there may be, in their order. before: the table whose other rows are kept.
    """
    rows = {(fault, pool): cells for fault, pool, *cells in _rows(before)}
    today = f"{datetime.now(UTC):%Y-%m-%d}"
    for each in outcomes:
        cells = rows.setdefault((each.fault, each.pool), [""] * (len(_HEAD) + 1))
        at = PROFILES.index(each.profile) * len(COLUMNS)
        cells[at : at + len(COLUMNS)] = _cells(each)
        cells[-1] = today
    table = [*_HEAD_ROWS, *([*key, *rows[key]] for key in order if key in rows)]
    return "\n\n".join((facts, "\n".join(f"| {' | '.join(row)} |" for row in table), *_troubles(outcomes, before)))


def machine_facts() -> str:
    """Return a line on when, where and with what versions."""
    cpu = next(
        (
            line.partition(":")[2].strip()
            for line in Path("/proc/cpuinfo").read_text().splitlines()
            if "model name" in line
        ),
        platform.machine(),
    )
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    software = ", ".join(f"{name} {version(name)}" for name in ("celery", "kombu", "amqp", "billiard"))
    return (
        f"{datetime.now(UTC):%Y-%m-%d}, {os.cpu_count()} cores ({cpu}), {memory:.0f} GiB, Linux {platform.release()}, "
        f"Python {platform.python_version()}, {software}, RabbitMQ {_broker_version()}."
    )


def table_in(document: str) -> str:
    """Return what is between the two markers of a document; raises ValueError where they are missing."""
    return _parts(document)[1].strip()


def put_into(document: str, text: str) -> str:
    """Return a document with the text between its two markers; raises ValueError where they are missing."""
    before, _, after = _parts(document)
    return f"{before}{BEGIN}\n\n{text}\n\n{END}{after}"


def _parts(document: str) -> tuple[str, str, str]:
    before, begin, rest = document.partition(BEGIN)
    between, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"the document has no lines {BEGIN!r} and {END!r} to write between")
    return before, between, after


def _rows(text: str) -> list[list[str]]:
    lines = [line for line in text.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[len(_HEAD_ROWS) :]]


def _troubles(outcomes: Sequence[Outcome], before: str) -> list[str]:
    """Return a line for each run that did not come to its end, those of earlier runs that were not played again too."""
    runs = {f"{each.fault}, {each.pool}, {each.profile}: ": each.trouble for each in outcomes}
    below = before.rpartition("\n|")[2].splitlines()[1:]
    kept = [line for line in below if line and not line.startswith(tuple(runs))]
    return [*kept, *(f"{run}{trouble}." for run, trouble in runs.items() if trouble is not None)]


def _broker_version() -> str:
    done = subprocess.run([TOOLS / "rabbitmqctl", "version"], capture_output=True, text=True, check=True)
    return done.stdout.strip()


def _cells(outcome: Outcome) -> list[str]:
    verdict = outcome.verdict
    match outcome.recovery:
        case None:
            recovery = "–"  # noqa: RUF001
        case math.inf:
            recovery = "never"
        case seconds:
            recovery = f"{seconds:.1f} s"
    lost = f"**{len(verdict.lost)}**" if verdict.lost else "0"
    return [str(verdict.accepted), lost, str(len(verdict.twice)), recovery]
