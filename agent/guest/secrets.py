"""Which variables hold secrets or name files that do, and texts without them.

A name or a URL's password part is what a secret is known by; nothing that may be one is ever shown. Here because what
runs beside user code writes log lines too.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

MASK = "**"
SHORTEST = 4  # characters; anything shorter would be masked out of the middle of words

_NAME = re.compile(
    r"(^|_)(PWD|PASS|PASSWD|PASSWORD|PASSPHRASE|SECRETS?|TOKEN|CREDENTIALS?|KEY|DSN)(_|$)"
    r"|(PASSWD|PASSWORD|SECRET|TOKEN|APIKEY)$",
    re.IGNORECASE,
)
_FILE = "_FILE"
_NO_SECRET = re.compile(r"PWD|.*_(FILE|PATH|DIR)", re.IGNORECASE)  # PWD alone is the shell's folder
_URL_PASSWORD = re.compile(r"(?<=://)([^/\s@:]*):([^/\s@]+)@")


def is_secret(name: str, value: str) -> bool:
    """Tell whether a variable holds a secret: by its name, or because its value is a URL with a password."""
    return bool(value) and (_is_secret_name(name) or _URL_PASSWORD.search(value) is not None)


def names_secret_file(name: str, value: str) -> bool:
    """Tell whether a variable names a file that holds a secret, as RABBITMQ_PWD_FILE does."""
    return bool(value) and name.upper().endswith(_FILE) and _is_secret_name(name[: -len(_FILE)])


class Redactor:
    """Masks the secrets among (name, value) pairs, in files that they name, and in URLs."""

    def __init__(self, variables: Iterable[tuple[str, str]]) -> None:
        self._secrets: list[str] = []
        self.hide(_secret(name, value) for name, value in variables)

    def hide(self, secrets: Iterable[str]) -> None:
        """Mask these too."""
        known = {*self._secrets, *(secret for secret in secrets if len(secret) >= SHORTEST)}
        self._secrets = sorted(known, key=len, reverse=True)

    def __call__(self, text: str) -> str:
        """Return a text without secrets."""
        for secret in self._secrets:
            text = text.replace(secret, MASK)
        return _URL_PASSWORD.sub(rf"\1:{MASK}@", text)


def redacted(text: str, variables: Iterable[tuple[str, str]]) -> str:
    """Return a text in which the secrets among (name, value) pairs, in files that they name and in URLs are masked."""
    return Redactor(variables)(text)


def _secret(name: str, value: str) -> str:
    """Return the secret behind a variable, or an empty text."""
    if _is_secret_name(name):
        return value
    if names_secret_file(name, value):
        try:
            return Path(value).read_text().strip()
        except (OSError, UnicodeDecodeError):  # what can't be read can't be shown either
            pass
    return ""


def _is_secret_name(name: str) -> bool:
    return _NAME.search(name) is not None and _NO_SECRET.fullmatch(name) is None
