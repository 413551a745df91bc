"""Where broker and results are, by an app's own settings before Celery's variables.

Celery's variables override settings, without a word: a shell that has `CELERY_BROKER_URL` for another project sends this one's
tasks to the other one's broker, with another transport. Here they count where the settings say nothing.
"""

import logging
from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any

from celery.app.utils import Settings
from kombu.utils.url import maybe_sanitize_url

_OF_BROKER = ("broker_url", "broker_host")
# What Celery reads before the settings: `celery/app/utils.py`. The command's -b and --result-backend set two of them.
VARIABLES = {
    "CELERY_BROKER_URL": _OF_BROKER,
    "CELERY_BROKER_READ_URL": ("broker_read_url", *_OF_BROKER),
    "CELERY_BROKER_WRITE_URL": ("broker_write_url", *_OF_BROKER),
    "CELERY_RESULT_BACKEND": ("result_backend", "CELERY_RESULT_BACKEND"),
}

_log = logging.getLogger(__name__)


class OwnFirst(Settings):
    """Celery's settings, in which an app's own count more than variables."""

    def __getitem__(self, name: str) -> Any:
        """Return a setting as Celery does, which raises an error, and catches it, for each name and place where it is not.

        An app looks some 200 times before it is there.
        """
        names = dict.fromkeys(map(self._key, self._to_keys(name)))  # mostly one
        for place in self.maps:
            for each in names:
                if each in place:
                    return place[each]
        return super().__getitem__(name)

    @property
    def broker_url(self) -> Any:
        """The broker."""
        return _own(self, "CELERY_BROKER_URL") or super().broker_url

    @property
    def broker_read_url(self) -> Any:
        """The broker to read from."""
        return _own(self, "CELERY_BROKER_READ_URL") or super().broker_read_url

    @property
    def broker_write_url(self) -> Any:
        """The broker to write to."""
        return _own(self, "CELERY_BROKER_WRITE_URL") or super().broker_write_url

    @property
    def result_backend(self) -> Any:
        """Where results go."""
        return _own(self, "CELERY_RESULT_BACKEND") or super().result_backend


def put_own_first(app: Any, environment: Mapping[str, str]) -> None:
    """Have an app's own settings count more than Celery's variables; those that say otherwise are named in the log, once."""
    conf = app.conf
    object.__setattr__(conf, "__class__", OwnFirst)  # others may have this very object; by `=` it would be a setting
    for text in differing(conf, environment):
        _tell(text)


def own_settings(conf: Settings) -> Settings:
    """Return what an app's own settings say, as Celery's `value_set_for` looks at it: that makes it anew for each name."""
    conf.finalize()
    return Settings({}, conf.maps[:-1], conf._keys, conf.prefix)  # noqa: SLF001 - listed in `internals`


def differing(conf: Settings, environment: Mapping[str, str]) -> Iterator[str]:
    """Yield a line for each variable that says something else than the settings, with which of them counts."""
    for variable in VARIABLES:
        said = environment.get(variable)
        own = _own(conf, variable) if said else None  # asked only where it matters: each app is
        if not own or said == own:
            continue
        name = variable.removeprefix("CELERY_").lower()
        if isinstance(conf, OwnFirst):
            yield f"{variable} is {_shown(said)}, and has no effect: {name} of the settings counts, {_shown(own)}. Unset one"
        else:
            yield f"{variable} is {_shown(said)}, and counts more than {name} of the settings, {_shown(own)}. Unset one"


def _own(conf: Settings, variable: str) -> Any:
    return conf.first(*VARIABLES[variable])


def _shown(url: Any) -> str:
    return ";".join(str(maybe_sanitize_url(each)) for each in (url.split(";") if isinstance(url, str) else url))


@cache
def _tell(text: str) -> None:
    _log.warning("%s.", text)
