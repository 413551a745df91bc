"""The embedded broker: kombu's filesystem transport and file results, no server needed. For trying things out.

It is chosen by CELERY_TASKS_BROKER, for producers and consumers alike:

    CELERY_TASKS_BROKER=embedded             a folder of this user below the system's temporary folder
    CELERY_TASKS_BROKER=embedded:///folder   a folder of your choice, shared by all who take part

It promises nothing: a message leaves the folder when it is fetched, so what a killed worker had is lost. Nor does it scale:
400 tasks a second where RabbitMQ does thousands.
"""

import os
import stat
import tempfile
from collections.abc import Mapping
from pathlib import Path

from kombu.transport import TRANSPORT_ALIASES

from celery_delivery.errors import SettingError

SCHEME = "embedded"
FOLDERS = ("queues", "control", "results")
TRANSPORT = "celery_delivery.broker.embedded_transport:Transport"  # by its name: few processes need it


def folder(environment: Mapping[str, str]) -> Path | None:
    """Return the folder that CELERY_TASKS_BROKER means, None where it is not set: then it's RabbitMQ; raises SettingError."""
    setting = environment.get("CELERY_TASKS_BROKER", "")
    if not setting:
        return None
    if setting == SCHEME:
        return Path(tempfile.gettempdir()) / f"celery-tasks-{os.geteuid()}"
    prefix = f"{SCHEME}://"
    if setting.startswith(prefix + "/"):
        return Path(setting.removeprefix(prefix))
    raise SettingError(
        f"CELERY_TASKS_BROKER is {setting!r}, but must be 'embedded' or 'embedded:///absolute/folder'; "
        "unset it to use RabbitMQ"
    )


def url(environment: Mapping[str, str]) -> str | None:
    """Return Celery's broker_url for the folder that CELERY_TASKS_BROKER means; None where it is RabbitMQ.

    The folder is made, for this user alone, and kombu knows the scheme from now on. Raises SettingError.
    """
    place = folder(environment)
    if place is None:
        return None
    make(place)
    register()
    return f"{SCHEME}://{place}"


def queues(url: str) -> Path:
    """Return the folder of messages behind an embedded broker's URL."""
    return Path(url.removeprefix(f"{SCHEME}://")) / "queues"


def results(place: Path) -> str:
    """Return Celery's result_backend for a folder."""
    return f"file://{place / 'results'}"


def register() -> None:
    """Have kombu know the scheme; without it a URL that begins so names no transport."""
    TRANSPORT_ALIASES[SCHEME] = TRANSPORT


def make(place: Path) -> None:
    """Make the folder of an embedded broker, for this user alone; raises SettingError.

    Whoever may write to it decides what runs here, and so does whoever may put something else in the place of a folder on
    the way to it. So another user's is refused, and a link, for root too.
    """
    me = os.geteuid()
    try:
        for each in (*reversed(place.parents), place):
            _have(each, {0, me}, stat.S_ISVTX)  # in a sticky folder, as /tmp is, each changes only what is his
        for name in FOLDERS:
            _have(place / name, {me}, 0)
    except _Refused as error:
        raise SettingError(
            f"the embedded broker's folder {place} is refused: {error}. Name one that only this user can change, with "
            "CELERY_TASKS_BROKER=embedded:///folder"
        ) from None
    except OSError as error:
        raise SettingError(
            f"the embedded broker's folder {place} can't be made ({error.strerror}): "
            "name another with CELERY_TASKS_BROKER=embedded:///folder"
        ) from error


class _Refused(Exception):
    pass


def _have(folder: Path, owners: set[int], redeeming: int) -> None:
    """Make a folder where none is; raises OSError, and _Refused where others than these users decide what is in it.

    redeeming: the bit of its mode with which it may be writable for others, 0 where none is.
    """
    try:
        found = folder.lstat()
    except FileNotFoundError:
        folder.mkdir(mode=0o700, exist_ok=True)
        found = folder.lstat()
    if stat.S_ISLNK(found.st_mode):
        raise _Refused(f"{folder} is a link")
    if found.st_uid not in owners:
        raise _Refused(f"{folder} belongs to another user (uid {found.st_uid})")
    if found.st_mode & (stat.S_IWGRP | stat.S_IWOTH) and not found.st_mode & redeeming:
        raise _Refused(f"{folder} can be changed by others (mode {stat.S_IMODE(found.st_mode):o})")
