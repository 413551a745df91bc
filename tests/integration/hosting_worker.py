"""A worker without an agent that writes down what it does with each message, by the message's routing key.

    HOSTING_NOTES=NOTES python hosting_worker.py [option of `celery worker` …]

An agent may host these task classes too. The file NOTES has a line for each: `ran KEY`, once for each run, and `told KEY`,
where the task was not run since its time had passed, and whoever waits for its result was told so.
"""

from __future__ import annotations

import os
import sys
from typing import Any

import celery
from celery import signals

from celery_delivery.apps import create_app_from


def note(word: str, request: Any) -> None:
    """Write a line; the system writes it as a whole."""
    key = request.delivery_info["routing_key"]
    file = os.open(os.environ["HOSTING_NOTES"], os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(file, f"{word} {key}\n".encode(errors="replace"))
    os.close(file)


class Alpha(celery.Task):
    """A task that takes one argument, and another that it does not need."""

    name = "alpha"

    def run(self, first: Any, second: Any = None) -> str:
        """Write down that it was run."""
        note("ran", self.request)
        if first == "fail":
            raise ValueError(second)
        return "done"


class Beta(celery.Task):
    """A task that takes anything."""

    name = "beta"
    queue = "alpha"

    def run(self, /, *args: Any, **kwargs: Any) -> None:
        """Write down that it was run."""
        note("ran", self.request)


@signals.task_revoked.connect  # type: ignore[untyped-decorator]
def told(request: Any, **_: Any) -> None:
    """Write down that it was not run."""
    note("told", request)


if __name__ == "__main__":
    app = create_app_from([Alpha, Beta], "celery_tasks.celery_config", contracts="celery_tasks")
    app.worker_main(["worker", "--without-gossip", "--without-mingle", "--without-heartbeat", *sys.argv[1:]])
