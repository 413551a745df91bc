"""Passwords that only an app's settings know: a settings module may have read them from a file."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from urllib.parse import unquote, urlsplit

from celery_delivery.broker.urls import brokers


def passwords(app: Any) -> Iterator[str]:
    """Yield those of an app's brokers and of its result store."""
    backend = app.conf.result_backend
    for url in (*brokers(app), *([backend] if isinstance(backend, str) else [])):
        parts = urlsplit(url)
        if parts.password and parts.password != parts.username:  # a broker's "guest" is no secret
            yield unquote(parts.password)
