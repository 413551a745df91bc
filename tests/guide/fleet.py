"""A producer's view of the two instances that the rows are played by."""

from __future__ import annotations

import os
import subprocess
import sys
import uuid
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import celery

from agent.control import client
from agent.decide.status import QueueStatus
from celery_delivery.apps import create_app_from
from tests.guide.shared import tasks as contracts
from tests.waiting import wait_until

SETTINGS = "tests.guide.shared.settings"
SOON = 60.0  # seconds, in which what has to come comes on a busy machine


@dataclass(frozen=True)
class Fleet:
    """Two instances that run, with one pool and one store of results, and an app that knows contracts alone.

    folder: where each instance's `etc`, `run` and log are, in folders by their names.
    """

    pool: str
    store: str
    folder: Path

    @cached_property
    def app(self) -> Any:
        """The producer's app; its own queue is `left`."""
        return create_app_from([contracts.AddTask, contracts.LookTask, contracts.StepsTask], SETTINGS)

    @property
    def counts(self) -> bool:
        """Whether the store can count the tasks of a chord."""
        return self.store != "rpc"

    def s(self, name: str, *args: Any, **kwargs: Any) -> Any:
        """Return the signature of a contract."""
        return self.app.signature(name, args=args, kwargs=kwargs)

    def get(self, sent: Any, **options: Any) -> Any:
        """Send a signature with these options; return its result."""
        return sent.apply_async(**options).get(timeout=SOON)

    def told(self, sent: Any, **options: Any) -> str:
        """Send a signature that fails; return kind and text of what its caller is told."""
        return told(lambda: self.get(sent, **options))

    def file(self) -> str:
        """Return the path of a file that is not there."""
        return str(self.folder / uuid.uuid4().hex)

    def lines(self, file: str, count: int) -> list[str]:
        """Return the lines of a file, once there are so many."""
        path = Path(file)
        return wait_until(lambda: found if len(found := _lines(path)) >= count else None, SOON, f"{count} lines") or []

    def hear(self, *names: str) -> None:
        """Wait until workers have heard these signals."""
        wait_until(lambda: set(names) <= set(_lines(self.folder / "heard")), SOON, f"{names} are heard")

    def dead(self, queue: str, task_id: str) -> None:
        """Wait until a task is among the dead letters of a queue, where it stays."""

        def found() -> bool:
            with self.app.connection_for_read() as connection:
                letters = iter(partial(connection.default_channel.basic_get, f"{queue}.dead"), None)
                return task_id in [letter.headers["id"] for letter in letters]

        wait_until(found, SOON, f"{task_id} is a dead letter")

    def queue(self, name: str) -> QueueStatus:
        """Return what `agent status` says of a queue."""
        instance = "first" if name == "left" else "second"
        status = client.status(self.folder / instance / "run" / instance, SOON)
        return next(queue for queue in status.queues if queue.queue == name)

    @cached_property
    def schedule(self) -> str:
        """What `agent schedule` says of the instance that has one, once its entries are known."""
        return wait_until(self._timetable, 60, "the schedule's entries are sent by this node")

    def _timetable(self) -> str:
        said = self.agent("schedule", "second", instance="second")
        return said if "sent by this node" in said else ""

    def log(self, instance: str, *words: str) -> str:
        """Return the line of an instance's log that has all of these words, once there is one."""
        path = self.folder / instance / f"{instance}.log"

        def found() -> str | None:
            return next((line for line in path.read_text().splitlines() if all(word in line for word in words)), None)

        return wait_until(found, SOON, f"{words} in the log") or ""

    def alone(self, code: str) -> str:
        """Run code that has `fleet` in a process of its own; return what it prints. Raises RuntimeError with its error."""
        view = f"Fleet({self.pool!r}, {self.store!r}, Path({str(self.folder)!r}))"
        head = f"from pathlib import Path\nfrom tests.guide.fleet import *\nfleet = {view}\nfleet.app\n"
        done = subprocess.run(
            [sys.executable, "-c", head + code],
            env=dict(os.environ),
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        if done.returncode:
            raise RuntimeError(done.stderr)
        return done.stdout

    def agent(self, *arguments: str, instance: str = "first") -> str:
        """Run an `agent` command with the folders of an instance; return all that it prints."""
        where = self.folder / instance
        folders = {"CELERY_AGENT_CONFIG_DIR": str(where / "etc"), "CELERY_AGENT_RUNTIME_DIR": str(where / "run")}
        done = subprocess.run(
            [sys.executable, "-m", "agent", *arguments],
            env={**os.environ, **folders},
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        return done.stdout + done.stderr

    def check(self, **settings: str) -> str:
        """Return what `agent check` says of an instance like the first one, with these settings besides."""
        name = f"tried{uuid.uuid4().hex[:8]}"
        lines = (self.folder / "first" / "etc" / "first.env").read_text()
        named = {key if key.startswith("RABBITMQ") else f"CELERY_AGENT_{key}": value for key, value in settings.items()}
        more = "".join(f"{key}={value}\n" for key, value in named.items())
        kept = [line for line in lines.splitlines() if line.split("=")[0] not in named]
        (self.folder / "first" / "etc" / f"{name}.env").write_text("\n".join(kept) + f"\n{more}")
        return self.agent("check", name)


def told(call: Any) -> str:
    """Return kind and text of what a call raises; or that it raises nothing."""
    try:
        return f"nothing: {call()!r}"
    except Exception as error:  # noqa: BLE001  whatever it is
        return f"{type(error).__name__}: {error}"


def refused(call: Any, *words: str) -> None:
    """See that a call raises an error with these words."""
    said = told(call)
    assert not said.startswith("nothing: "), said
    assert all(word in said for word in words), said


def task_of(app: Any, name: str) -> celery.Task:
    """Return the task of a contract to send by, in an app of any queue."""
    return app.task_of(name)


def _lines(path: Path) -> list[str]:
    return path.read_text().splitlines() if path.exists() else []
