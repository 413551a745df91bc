"""What is done to an instance and to its broker, and what ends that, each a function of the stage."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable

from tests import administration
from tests.health.stage import PASSWORD, PATIENCE, QUEUE, Stage
from tests.node import children
from tests.waiting import wait_until

Deed = Callable[[Stage], None]


def logged(*parts: str) -> Deed:
    """Return what waits until the log has each of these."""

    def wait(stage: Stage) -> None:
        wait_until(lambda: all(part in stage.log() for part in parts), PATIENCE, f"the log has {parts}")

    return wait


def signal_worker(stage: Stage) -> None:
    """Stop the worker's main process where it stands."""
    os.kill(stage.pid(), signal.SIGSTOP)


def kill_pool(stage: Stage) -> None:
    """Kill the processes of the worker's pool."""
    for pid in children(stage.pid()):
        os.kill(pid, signal.SIGKILL)


def touch(name: str, stage: Stage) -> None:
    """Have the worker's main loop do something, see `stage.TASKS`."""
    (stage.folder / name).touch()


def send(action: str, count: int, stage: Stage, *, counts: bool = True) -> None:
    """Send tasks that do it."""
    stage.send(action, count, counts=counts)


def poison(action: str, stage: Stage) -> None:
    """Send one task that does it, and others behind it."""
    stage.send(action, counts=False)
    stage.send("sleep", 10)


def delete_queue(stage: Stage) -> None:
    """Delete the queue under its consumer; what it held is gone by that."""
    with stage.broker.connect(stage.vhost) as connection:
        connection.channel().queue_delete(QUEUE)


def stop_broker(stage: Stage) -> None:
    """Stop the broker in an orderly way."""
    stage.broker.stop()


def start_broker(seconds: float, stage: Stage) -> None:
    """Start it again after a while."""
    time.sleep(seconds)
    stage.broker.start()


def change_password(stage: Stage) -> None:
    """Change the password that the instance has, and close its connections."""
    administration.change_password(stage.broker, stage.user, "another")
    stage.end_connections()


def restore_password(stage: Stage) -> None:
    """Have the instance's password be the right one."""
    administration.change_password(stage.broker, stage.user, PASSWORD)


def revoke_rights(stage: Stage) -> None:
    """Take the instance's rights away, and close its connections."""
    stage.allow("^$")
    stage.end_connections()


def shut_out(stage: Stage) -> None:
    """Take the virtual host from the instance, and close its connections."""
    stage.shut_out()
    stage.end_connections()


def nothing(stage: Stage) -> None:
    """Leave it as it is."""
