"""Times without a zone, which Celery takes for UTC and most people for the time of their host (celery #4245)."""

import logging
from collections.abc import Mapping
from datetime import datetime
from functools import cache
from typing import Any

_log = logging.getLogger(__name__)


def tell_of_naive(options: Mapping[str, Any]) -> None:
    """Warn of an `eta` or `expires` without a zone among what a task is sent with, where this host's time is not UTC."""
    for name in ("eta", "expires"):
        time = options.get(name)
        if isinstance(time, datetime) and time.tzinfo is None and time.astimezone().utcoffset():
            _tell(name, f"{time.astimezone():%z}")


@cache
def _tell(name: str, offset: str) -> None:
    """Say it once: who sends one such task sends more."""
    _log.warning(
        "%s has no time zone, and is taken for UTC; the time of this host is UTC%s. Say which is meant, "
        "as in %s=datetime.now(UTC) + timedelta(hours=1)",
        name,
        offset,
        name,
    )
