"""Why a broker can't be reached, in one word of `agent.guest.sight`, by what a transport has raised."""

from __future__ import annotations

import ssl

from amqp.exceptions import AccessRefused, NotAllowed

from celery_delivery.errors import TlsError

# In this order: some are subclasses of others. By name those of redis-py, which may not be there.
_REASONS: tuple[tuple[type[BaseException] | str, str], ...] = (
    (TlsError, "certificate"),
    (ssl.SSLError, "certificate"),
    (AccessRefused, "credentials"),
    (NotAllowed, "rights"),
    ("AuthenticationError", "credentials"),
    ("NoPermissionError", "rights"),
    ("AuthorizationError", "rights"),
)


def reason(error: BaseException) -> str:
    """Return the word: certificate, credentials, rights, or away."""
    names = {each: {kind.__name__ for kind in type(each).__mro__} for each in _causes(error)}
    for kind, word in _REASONS:
        if any(kind in names[each] if isinstance(kind, str) else isinstance(each, kind) for each in names):
            return word
    return "away"


def is_timeout(error: BaseException) -> bool:
    """Say whether nothing came in time."""
    return any(type(each).__name__ == "TimeoutError" for each in _causes(error))  # Python's, and that of redis-py


def _causes(error: BaseException) -> list[BaseException]:
    found = [error]
    while (cause := found[-1].__cause__ or found[-1].__context__) is not None and cause not in found:
        found.append(cause)
    return found


def text(error: BaseException) -> str:
    """Return what it says, in one line."""
    return " ".join((str(error) or repr(error)).split())
