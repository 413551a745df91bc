"""One attempt to reach a Redis that is the broker of an app, and what its failure means."""

from __future__ import annotations

import importlib
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

TIMEOUT = 3.0  # seconds for each step

# By the names of the library's own errors, which are none of Python's; the first that fits.
_FAULTS = (("AuthenticationError", "login"), ("NoPermissionError", "login"), ("TimeoutError", "silent"))


def is_redis(url: str) -> bool:
    """Tell whether a broker is a Redis."""
    return url.partition("://")[0] in ("redis", "rediss")


def probe(app: Any, url: str) -> tuple[str, str]:
    """Connect to a Redis and close again; return the kind of fault, as `probe` has them and "" for none, and its text."""
    try:
        with _client(app, url) as client:
            client.ping()
    except Exception as error:  # whatever the library raises is the finding
        return _fault_of(error), str(error) or repr(error)
    return "", ""


def losses(app: Any, url: str) -> list[str]:
    """Return the policy by which a Redis forgets tasks when it is full, if it has one and lets itself be asked."""
    try:
        with _client(app, url) as client:
            found = client.config_get("maxmemory-policy").get("maxmemory-policy", "noeviction")
    except Exception:  # many a service forbids the question
        return []
    return [] if found == "noeviction" else [found]


@contextmanager
def _client(app: Any, url: str) -> Iterator[Any]:
    options = {"socket_timeout": TIMEOUT, "socket_connect_timeout": TIMEOUT}
    with app.connection_for_read(url, transport_options={**app.conf.broker_transport_options, **options}) as connection:
        connection.transport_options["max_retries"] = 0
        yield connection.default_channel.client


def _fault_of(error: Exception) -> str:
    causes = [error]
    while (cause := causes[-1].__cause__ or causes[-1].__context__) is not None:
        causes.append(cause)  # type: ignore[arg-type]
    for each in causes:
        match each:
            case ConnectionRefusedError():
                return "refused"
            case socket.gaierror():
                return "name"
            case TimeoutError():
                return "silent"
    errors = importlib.import_module("redis.exceptions")
    return next((fault for name, fault in _FAULTS if isinstance(error, getattr(errors, name))), "closed")
