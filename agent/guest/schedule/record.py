"""What the fleet knows of its ticks: one message, which is in the broker's keeping and goes with the right to send.

{"version": 17, "by": "node-3", "entries": {"report": ["2026-11-26T13:00:00+00:00", "2026-11-26T13:00:00+00:00"]}}

Of each entry: the tick up to which all is done, and the newest one that was sent, or null.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import field
from datetime import datetime, timedelta

from ..values import dataclass

FORGOTTEN = timedelta(days=30)  # of an entry that this code does not know: another node's, or one that was removed


@dataclass(frozen=True, slots=True)
class Seen:
    """Where an entry stands: the tick up to which all is done, and the newest one that was sent; in UTC."""

    done: datetime
    sent: datetime | None = None


@dataclass(frozen=True, slots=True)
class Record:
    """All entries, in the state of a version; `by` is the host that wrote it. The one without entries is nobody's."""

    version: int = 0
    by: str = ""
    entries: Mapping[str, Seen] = field(default_factory=dict)

    def after(self, name: str, seen: Seen, by: str) -> Record:
        """Return the next version, in which an entry stands there."""
        return Record(self.version + 1, by, {**self.entries, name: seen})

    def joined(self, other: Record) -> Record:
        """Return what both know: of each entry, where it stands furthest."""
        further = {
            name: seen
            for name, seen in other.entries.items()
            if name not in self.entries or self.entries[name].done < seen.done
        }
        return Record(max(self.version, other.version), self.by or other.by, {**self.entries, **further})

    def without_the_forgotten(self, known: frozenset[str], now: datetime) -> Record:
        """Return it without the entries that are not known, and that nobody has seen for long."""
        kept = {name: seen for name, seen in self.entries.items() if name in known or now - seen.done < FORGOTTEN}
        return Record(self.version, self.by, kept)


def encode(record: Record) -> bytes:
    """Return a record as the body of a message."""
    entries = {
        name: [seen.done.isoformat(), None if seen.sent is None else seen.sent.isoformat()]
        for name, seen in record.entries.items()
    }
    return json.dumps({"version": record.version, "by": record.by, "entries": entries}).encode()


def decode(body: bytes) -> Record:
    """Return the record that `encode` made a body of; raises ValueError for anything else."""
    try:
        match json.loads(body):
            case {"version": int(version), "by": str(by), "entries": dict(entries)}:
                return Record(version, by, {str(name): _seen(*each) for name, each in entries.items()})
    except (TypeError, RecursionError) as error:
        raise ValueError(f"no record: {error}") from error
    raise ValueError("no record")


def _seen(done: str, sent: str | None) -> Seen:
    return Seen(_aware(done), None if sent is None else _aware(sent))


def _aware(text: str) -> datetime:
    time = datetime.fromisoformat(text)
    if time.tzinfo is None:
        raise ValueError("a time without a zone")
    return time
