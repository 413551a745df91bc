"""The table of a series of runs: one row a fault and pool, the safe profile beside the article's, in Markdown."""

from __future__ import annotations

import math
import os
import platform
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

from tests.chaos.run import Outcome
from tests.rabbitmq import TOOLS

PROFILES = ("safe", "article")
COLUMNS = ("accepted", "lost", "run twice", "recovery")
BEGIN, END = "<!-- chaos: begin, written by `make chaos` -->", "<!-- chaos: end -->"


def render(outcomes: Sequence[Outcome], facts: str) -> str:
    """Return the table, with the machine's facts above it and the troubles below."""
    head = [f"{profile}: {column}" if not at else column for profile in PROFILES for at, column in enumerate(COLUMNS)]
    rows = [["fault", "pool", *head], ["---", "---", *["---:"] * len(head)]]
    by_run = {(each.fault, each.pool, each.profile): each for each in outcomes}
    for fault, pool in dict.fromkeys((each.fault, each.pool) for each in outcomes):
        rows.append(
            [fault, pool, *(cell for profile in PROFILES for cell in _cells(by_run.get((fault, pool, profile))))]
        )
    table = "\n".join(f"| {' | '.join(row)} |" for row in rows)
    return "\n\n".join((facts, table, *troubles(outcomes)))


def troubles(outcomes: Iterable[Outcome]) -> list[str]:
    """Return a line for each run that did not come to its end."""
    return [
        f"{each.fault}, {each.pool}, {each.profile}: {each.trouble}." for each in outcomes if each.trouble is not None
    ]


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


def put_into(document: str, text: str) -> str:
    """Return a document with the text between its two markers; raises ValueError where they are missing."""
    before, begin, rest = document.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"the document has no lines {BEGIN!r} and {END!r} to write between")
    return f"{before}{BEGIN}\n\n{text}\n\n{END}{after}"


def _broker_version() -> str:
    folder = next(TOOLS.parent.glob("lib/rabbitmq_server-*"))
    return folder.name.partition("-")[2]


def _cells(outcome: Outcome | None) -> list[str]:
    if outcome is None:
        return ["", "", "", ""]
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
