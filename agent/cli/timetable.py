"""Periodic tasks for people: one heading, and a row for each entry."""

from __future__ import annotations

from datetime import UTC, datetime

from agent.cli.table import table
from agent.decide.status import ScheduleStatus

HEADINGS = ("ENTRY", "LAST RUN", "NEXT RUN")
INDENT = "  "


def heading(schedule: ScheduleStatus) -> str:
    """Return one line: what is sent, and by whom."""
    if not schedule.leads:
        return f"schedule {schedule.source}, sent by another node, or by none while this one connects"
    more = f", of which {len(schedule.entries)} are shown" if schedule.count > len(schedule.entries) else ""
    return f"schedule {schedule.source}, sent by this node: {schedule.count} entries{more}"


def rows(schedule: ScheduleStatus) -> list[str]:
    """Return the entries as lines, the next one first, times in UTC; none where another node sends them."""
    if not schedule.entries:
        return []
    named = [(each.entry, _time(each.last), _time(each.next)) for each in schedule.entries]
    return ["", *(INDENT + line for line in table([HEADINGS, *named], ()))]


def _time(seconds: float | None) -> str:
    return "never" if seconds is None else datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
