"""`agent status [INSTANCE]`: what instances are doing, from their daemons, in milliseconds, broker up or down."""

from __future__ import annotations

import argparse
import json
import os
import time
from collections.abc import Sequence

from agent.cli.render import render
from agent.cli.table import terminal_width
from agent.control import client
from agent.errors import FAILURE, NOT_RUNNING, OK, AgentError, NoSuchInstance, NotRunning
from agent.instances import Folders, folders
from agent.status import SCHEMA, Status, encode_status

POLL = 0.1  # seconds between two looks while waiting


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command to the parser."""
    parser = commands.add_parser(
        "status",
        help="show what instances are doing",
        description="Exit status: 0 running, 3 not running, 4 no such instance; 1 with --strict when something is wrong.",
    )
    parser.add_argument("instance", metavar="INSTANCE", nargs="?", help="default: all of this node")
    parser.add_argument("--json", action="store_true", help="one JSON value, documented in docs/status.md")
    parser.add_argument("--strict", action="store_true", help="exit with 1 when a queue has no consumer")
    parser.add_argument("--wait", metavar="SECONDS", type=float, help="wait until every queue is consuming")
    parser.set_defaults(run=_status)


def named_or_running(places: Folders, instance: str | None) -> tuple[str, ...]:
    """Return the instance that was named, or all that a daemon answers for; raises where there is none."""
    if instance is not None:
        if instance not in places.known():
            raise places.unknown(instance)
        return (instance,)
    running = tuple(each for each in places.known() if _ask(places, each) is not None)
    if not running:
        raise NotRunning(
            "No instance runs on this node: see `agent status`, start one with `systemctl start celery-agent@NAME`."
        )
    return running


def wait_until_consuming(places: Folders, instances: Sequence[str], seconds: float) -> None:
    """Return when every queue of the instances is consuming; raises AgentError where it takes longer."""
    deadline = time.monotonic() + seconds
    while waiting := [instance for instance in instances if not _is_consuming(places, instance)]:
        if time.monotonic() >= deadline:
            raise _still_waiting(places, waiting[0], seconds)
        time.sleep(POLL)


def _status(options: argparse.Namespace) -> int:
    places = folders(os.environ)
    if options.instance is not None and options.instance not in places.known() and options.wait is None:
        raise places.unknown(options.instance)
    instances = places.known() if options.instance is None else (options.instance,)
    if not instances:
        raise NoSuchInstance(f"No instance is configured on this node: {places.config} has no env file.")
    try:
        if options.wait is not None:
            wait_until_consuming(places, instances, options.wait)
    finally:
        statuses = {instance: _ask(places, instance) for instance in instances}
        print(_json(options.instance, statuses) if options.json else "\n\n".join(map(_text, statuses.items())))
    if None in statuses.values():
        return NOT_RUNNING
    return FAILURE if options.strict and any(each.is_degraded() for each in statuses.values() if each) else OK


def _ask(places: Folders, instance: str) -> Status | None:
    try:
        return client.status(places.runtime_folder(instance) / "control.sock")
    except NotRunning:
        return None


def _is_consuming(places: Folders, instance: str) -> bool:
    status = _ask(places, instance)
    return status is not None and status.is_consuming()


def _still_waiting(places: Folders, instance: str, seconds: float) -> AgentError:
    status = _ask(places, instance)
    if status is None:
        return NotRunning(f"{instance} is not running after {seconds:g} s")
    return AgentError(f"{instance} is not ready after {seconds:g} s: {status.summary}")


def _text(item: tuple[str, Status | None]) -> str:
    instance, status = item
    return f"{instance}: not running" if status is None else render(status, terminal_width())


def _json(instance: str | None, statuses: dict[str, Status | None]) -> str:
    values = [
        {"schema": SCHEMA, "instance": name, "state": "not running"} if status is None else encode_status(status)
        for name, status in statuses.items()
    ]
    return json.dumps({"schema": SCHEMA, "instances": values} if instance is None else values[0], indent=2)
