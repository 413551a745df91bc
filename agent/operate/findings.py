"""What a check finds."""

from __future__ import annotations

from enum import StrEnum

from agent.errors import FAILURE, OK
from agent.guest.values import dataclass


class Level(StrEnum):
    """How bad a finding is."""

    GOOD = "ok"
    WARNING = "warn"
    BAD = "FAIL"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at.

    subject: a word or two: "settings", "tasks", "broker" …
    text: one line, with what to do where there is something to do.
    detail: more for whoever asks, such as a traceback.
    exit_status: the least that the whole check ends with.
    """

    level: Level
    subject: str
    text: str
    detail: str = ""
    exit_status: int = OK


def good(subject: str, text: str) -> Finding:
    """Return the finding that all is well."""
    return Finding(Level.GOOD, subject, text)


def warning(subject: str, text: str) -> Finding:
    """Return the finding that something should be known."""
    return Finding(Level.WARNING, subject, text)


def failure(subject: str, text: str) -> Finding:
    """Return the finding that something beside the configuration does not work now."""
    return Finding(Level.BAD, subject, text, exit_status=FAILURE)
