"""Which variables hold secrets or name files that do, and texts without them.

A name or a URL's password part is what a secret is known by; nothing that may be one is ever shown. Here because what
runs beside user code writes log lines too.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from urllib.parse import quote, quote_plus, unquote

MASK = "**"
SHORTEST = 4  # characters; anything shorter would be masked out of the middle of words

_NAME = re.compile(
    r"(^|_)(PWD|PASS|PASSWD|PASSWORD|PASSPHRASE|SECRETS?|TOKENS?|CREDENTIALS?|KEYS?|DSN|O?AUTH|AUTHORIZATION|COOKIES?)(_|$)"
    r"|(PASSWD|PASSWORD|PASSPHRASE|SECRET|TOKEN|COOKIE|(API|PRIVATE|SECRET|ACCESS|SIGNING|ENCRYPTION|MASTER)KEY)$",
    re.IGNORECASE,
)
_FILE = "_FILE"
_NO_SECRET = re.compile(  # PWD alone is the shell's folder
    r"PWD|.*_(FILE|PATH|DIR|SOCK|NAME|HOST|PORT|DOMAIN|TYPE|METHOD)", re.IGNORECASE
)
_WORDS = {"true", "false", "none", "null", "enabled", "disabled"}  # of a switch such as SMTP_AUTH: in every other line
# Up to the last @ before the next URL: a password that nobody has quoted may have any sign but a space in it.
_URL_PASSWORD = re.compile(r"(?<=://)([^/\s:]*):((?:(?!://)\S)+)@")


def is_secret(name: str, value: str) -> bool:
    """Tell whether a variable holds a secret: by its name, or because its value is a URL with a password."""
    return bool(value) and (_holds_secret(name, value) or _URL_PASSWORD.search(value) is not None)


def names_secret_file(name: str, value: str) -> bool:
    """Tell whether a variable names a file that holds a secret, as RABBITMQ_PWD_FILE does."""
    return bool(value) and name.upper().endswith(_FILE) and _is_secret_name(name[: -len(_FILE)])


def url_passwords(text: str) -> Iterator[str]:
    """Yield the passwords of a text's URLs, quoted and unquoted; one that is the user's name too, as "guest", is no secret."""
    for found in _URL_PASSWORD.finditer(text):
        # Which @ ends it, depends on who reads the URL.
        parts = found[2].split("@")
        for end in range(1, len(parts) + 1):
            password = "@".join(parts[:end])
            if password != found[1]:
                yield password
                yield unquote(password)


class Redactor:
    """Masks the secrets among (name, value) pairs, in files that they name, and in URLs, however they are quoted."""

    def __init__(self, variables: Iterable[tuple[str, str]]) -> None:
        self._secrets: list[str] = []
        self.hide(secret for name, value in variables for secret in _secrets(name, value))

    def hide(self, secrets: Iterable[str]) -> None:
        """Mask these too."""
        found = (spelling for secret in secrets if len(secret) >= SHORTEST for spelling in _spellings(secret))
        known = {*self._secrets, *found}
        self._secrets = sorted(known, key=len, reverse=True)

    def __call__(self, text: str) -> str:
        """Return a text without secrets."""
        for secret in self._secrets:
            text = text.replace(secret, MASK)
        return _URL_PASSWORD.sub(rf"\1:{MASK}@", text)


def redacted(text: str, variables: Iterable[tuple[str, str]]) -> str:
    """Return a text in which the secrets among (name, value) pairs, in files that they name and in URLs are masked."""
    return Redactor(variables)(text)


def _secrets(name: str, value: str) -> Iterator[str]:
    """Yield the secrets behind a variable: its value, what is in the file that it names, passwords of its URLs."""
    if _holds_secret(name, value):
        yield value
    if names_secret_file(name, value):
        try:
            yield Path(value).read_text().strip()
        except (OSError, UnicodeDecodeError):  # what can't be read can't be shown either
            pass
    yield from url_passwords(value)


def _spellings(secret: str) -> Iterator[str]:
    """Yield a secret as it is, and as repr, JSON and URLs show it, the quotation marks apart."""
    yield secret
    for text in (repr(secret), ascii(secret), json.dumps(secret), json.dumps(secret, ensure_ascii=False)):
        yield text[1:-1]
    # Both quotation marks in one text: repr quotes only the one that it puts around, which is that of what it stands in.
    yield repr(f"{secret}'\"")[1:-4]
    yield repr(secret.encode(errors="surrogateescape"))[2:-1]
    for safe in ("/", ""):
        yield quote(secret, safe, errors="surrogateescape")
        yield quote_plus(secret, safe, errors="surrogateescape")


def _holds_secret(name: str, value: str) -> bool:
    return _is_secret_name(name) and value.lower() not in _WORDS


def _is_secret_name(name: str) -> bool:
    return _NAME.search(name) is not None and _NO_SECRET.fullmatch(name) is None
