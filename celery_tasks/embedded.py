"""The embedded broker: kombu's filesystem transport and file results, no server needed. For trying things out.

It is chosen by CELERY_TASKS_BROKER, for producers and consumers alike:

    CELERY_TASKS_BROKER=embedded             a folder of this user below the system's temporary folder
    CELERY_TASKS_BROKER=embedded:///folder   a folder of your choice, shared by all who take part

It promises nothing: a message leaves the folder when it is fetched, so what a killed worker had is lost. Nor does it scale:
400 tasks a second where RabbitMQ does thousands.
"""

import os
import tempfile
from pathlib import Path
from typing import Any

SCHEME = "embedded"
POLLING_INTERVAL = 0.1  # seconds; kombu's default of 1 s makes every answer feel slow


class EmbeddedBrokerError(ValueError):
    """CELERY_TASKS_BROKER or its folder can't be used; the message says why."""


def folder(setting: str) -> Path | None:
    """Return the folder that a CELERY_TASKS_BROKER setting means, or None where it is empty: then it's RabbitMQ."""
    if not setting:
        return None
    if setting == SCHEME:
        return Path(tempfile.gettempdir()) / f"celery-tasks-{os.getuid()}"
    prefix = f"{SCHEME}://"
    if setting.startswith(prefix + "/"):
        return Path(setting.removeprefix(prefix))
    raise EmbeddedBrokerError(
        f"CELERY_TASKS_BROKER is {setting!r}, but must be 'embedded' or 'embedded:///absolute/folder'; "
        "unset it to use RabbitMQ"
    )


def settings(place: Path) -> dict[str, Any]:
    """Return the Celery settings of an embedded broker in a folder, which is made for this user alone."""
    queues, control, results = place / "queues", place / "control", place / "results"
    try:
        place.mkdir(mode=0o700, parents=True, exist_ok=True)
        if place.stat().st_uid != os.getuid() and os.getuid() != 0:
            raise EmbeddedBrokerError(
                f"the embedded broker's folder {place} belongs to another user: name one of yours"
            )
        for each in (queues, control, results):
            each.mkdir(mode=0o700, exist_ok=True)
    except OSError as error:
        raise EmbeddedBrokerError(
            f"the embedded broker's folder {place} can't be made ({error.strerror}): "
            "name another with CELERY_TASKS_BROKER=embedded:///folder"
        ) from error
    return {
        "broker_url": "filesystem://",
        "broker_transport_options": {
            "data_folder_in": str(queues),
            "data_folder_out": str(queues),
            "control_folder": str(control),
            "polling_interval": POLLING_INTERVAL,
        },
        "result_backend": f"file://{results}",
        # Late acks need a transport that takes a message back; here they only cost (2 tasks/s instead of 400).
        "task_acks_late": False,
        "worker_prefetch_multiplier": 1,
    }
