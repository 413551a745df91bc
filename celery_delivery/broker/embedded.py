"""The embedded broker: kombu's filesystem transport and file results, no server needed. For trying things out.

It is chosen by CELERY_TASKS_BROKER, for producers and consumers alike:

    CELERY_TASKS_BROKER=embedded             a folder of this user below the system's temporary folder
    CELERY_TASKS_BROKER=embedded:///folder   a folder of your choice, shared by all who take part

It promises nothing: a message leaves the folder when it is fetched, so what a killed worker had is lost. Nor does it scale:
400 tasks a second where RabbitMQ does thousands.
"""

import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from kombu.transport import TRANSPORT_ALIASES, filesystem

from celery_delivery.errors import SettingError

SCHEME = "embedded"
POLLING_INTERVAL = 0.1  # seconds; kombu's default of 1 s makes every answer feel slow


def folder(environment: Mapping[str, str]) -> Path | None:
    """Return the folder that CELERY_TASKS_BROKER means, None where it is not set: then it's RabbitMQ; raises SettingError."""
    setting = environment.get("CELERY_TASKS_BROKER", "")
    if not setting:
        return None
    if setting == SCHEME:
        return Path(tempfile.gettempdir()) / f"celery-tasks-{os.getuid()}"
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
    TRANSPORT_ALIASES[SCHEME] = f"{__name__}:Transport"


def make(place: Path) -> None:
    """Make the folder of an embedded broker, for this user alone; raises SettingError."""
    try:
        place.mkdir(mode=0o700, parents=True, exist_ok=True)
        if place.stat().st_uid != os.getuid() and os.getuid() != 0:
            raise SettingError(f"the embedded broker's folder {place} belongs to another user: name one of yours")
        for name in ("queues", "control", "results"):
            (place / name).mkdir(mode=0o700, exist_ok=True)
    except OSError as error:
        raise SettingError(
            f"the embedded broker's folder {place} can't be made ({error.strerror}): "
            "name another with CELERY_TASKS_BROKER=embedded:///folder"
        ) from error


class Channel(filesystem.Channel):
    """A channel whose folders follow from its URL."""

    @property
    def transport_options(self) -> dict[str, Any]:
        """What kombu's channel looks up: where messages and bindings are."""
        client = self.connection.client
        place = Path("/") / client.virtual_host
        queues = str(place / "queues")
        return {
            **client.transport_options,
            "data_folder_in": queues,
            "data_folder_out": queues,
            "control_folder": str(place / "control"),
        }


class Transport(filesystem.Transport):
    """Messages as files in a folder, which is the path of the URL."""

    Channel = Channel
    polling_interval = POLLING_INTERVAL
