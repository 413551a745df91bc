"""Passwords that only an app's settings know: a settings module may have read them from a file."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from celery_delivery.broker.urls import brokers

from .secrets import url_passwords


def passwords(app: Any) -> Iterator[str]:
    """Yield those of an app's brokers and of its result store."""
    backend = app.conf.result_backend
    for url in (*brokers(app), *([backend] if isinstance(backend, str) else [])):
        yield from url_passwords(url)
