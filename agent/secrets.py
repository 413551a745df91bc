"""Which variables hold secrets, and texts without them.

A name or a URL's password part is what a secret is known by; nothing that may be one is ever shown.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

MASK = "**"
SHORTEST = 4  # characters; anything shorter would be masked out of the middle of words

_NAME = re.compile(
    r"(^|_)(PWD|PASS|PASSWD|PASSWORD|PASSPHRASE|SECRETS?|TOKEN|CREDENTIALS?|KEY|DSN)(_|$)"
    r"|(PASSWD|PASSWORD|SECRET|TOKEN|APIKEY)$",
    re.IGNORECASE,
)
_NO_SECRET = re.compile(r"PWD|.*_(FILE|PATH|DIR)", re.IGNORECASE)  # PWD alone is the shell's folder
_URL_PASSWORD = re.compile(r"(?<=://)([^/\s@:]*):([^/\s@]+)@")


def is_secret(name: str, value: str) -> bool:
    """Tell whether a variable holds a secret: by its name, or because its value is a URL with a password."""
    return bool(value) and (_is_secret_name(name) or _URL_PASSWORD.search(value) is not None)


def redacted(text: str, variables: Iterable[tuple[str, str]]) -> str:
    """Return a text in which the secrets among (name, value) pairs, and passwords in URLs, are masked."""
    values = {value for name, value in variables if _is_secret_name(name) and len(value) >= SHORTEST}
    for value in sorted(values, key=len, reverse=True):
        text = text.replace(value, MASK)
    return _URL_PASSWORD.sub(rf"\1:{MASK}@", text)


def _is_secret_name(name: str) -> bool:
    return _NAME.search(name) is not None and _NO_SECRET.fullmatch(name) is None
