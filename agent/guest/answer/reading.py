"""The connection of a process that works on queues for an operator, and why it can't go on."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any
from urllib.parse import quote

from amqp.exceptions import AccessRefused, ChannelError

from celery_delivery.broker.urls import brokers, shown

from .frames import tolerant
from .probe import fault_of

CONNECT_TIMEOUT = 5.0  # seconds for a connection
ANSWER_TIMEOUT = 30.0  # seconds for any answer of the broker, a confirm too
HEARTBEAT = 60  # seconds; the broker gets back what was fetched by a host that is gone in twice that


class Refused(Exception):
    """Something can't be done, and neither network nor broker are ill; the text says what, and what to do."""


_USER = re.compile(r"://([^/?#]*@)?")  # of a URL: what stands before the host


@contextmanager
def connected(app: Any, login: Mapping[str, str] | None = None) -> Iterator[Any]:
    """Return an open connection to the first broker of an app that answers.

    login: {"user": …, "password": …} to connect as, instead of the app's own.
    """
    limits = {
        "read_timeout": ANSWER_TIMEOUT,
        "write_timeout": ANSWER_TIMEOUT,
        "frame_handler": tolerant,
        "confirm_publish": False,  # of a project's own settings: confirms are counted here
    }
    url = None if login is None else ";".join(_as_user(each, login) for each in brokers(app))
    with app.connection_for_write(
        url, connect_timeout=CONNECT_TIMEOUT, heartbeat=HEARTBEAT, transport_options=limits
    ) as connection:
        connection.ensure_connection(max_retries=len(brokers(app)) - 1, interval_start=0)
        yield connection


@contextmanager
def rights(queue: str) -> Iterator[None]:
    """Say in our own words what the broker does not let us do."""
    try:
        yield
    except AccessRefused as error:
        raise Refused(
            f"This user may not send to {queue!r}: name one who may, with --user and --password-file."
        ) from error
    except ChannelError as error:
        raise Refused(f"Exchange {queue!r} takes nothing: {error}") from error


def failure(app: Any, error: Exception) -> dict[str, object]:
    """Return the line that says why there is no further: the fault of a broker as `probe` has it, or words of our own."""
    fault = "" if isinstance(error, Refused) else fault_of(error.__cause__ or error)
    urls = ";".join(shown(url) for url in brokers(app))
    return {"failed": {"broker": urls, "fault": fault, "text": str(error) or repr(error)}}


def _as_user(url: str, login: Mapping[str, str]) -> str:
    who = ":".join(quote(login[each], safe="") for each in ("user", "password"))
    return _USER.sub(lambda _: f"://{who}@", url, count=1)
