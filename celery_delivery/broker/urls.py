"""The brokers that an app's settings name: how one of them is connected to, and how they are shown to people."""

from typing import Any
from urllib.parse import urlsplit

from celery import Celery
from kombu.utils.url import maybe_sanitize_url

from celery_delivery.broker import embedded


def brokers(app: Celery) -> tuple[str, ...]:
    """Return the URLs of an app's brokers, with their passwords: the first, then those to fail over to."""
    urls = app.conf.broker_read_url or app.conf.broker_url or "amqp://"
    listed = urls.split(";") if isinstance(urls, str) else urls
    return tuple(url for url in listed if url)


def shown(url: str) -> str:
    """Return a broker's URL with its password masked; of the embedded broker it is what CELERY_TASKS_BROKER would be."""
    return url if is_embedded(url) else str(maybe_sanitize_url(url))


def is_embedded(url: str) -> bool:
    """Tell whether a broker is the embedded one."""
    return urlsplit(url).scheme == embedded.SCHEME


def connect_to_any(connection: Any) -> None:
    """Open a connection to the first of its brokers that is there; each is tried once. Raises AMQPError, OSError."""
    others = (len(connection.alt) or 1) - 1
    connection.ensure_connection(max_retries=others, interval_start=0, reraise_as_library_errors=False)
