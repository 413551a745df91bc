"""`agent status [INSTANCE]`: what instances are doing. Their daemons tell, in milliseconds, whether the broker is up or not."""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Callable
from pathlib import Path

from agent.cli.options import add_instance
from agent.cli.render import render
from agent.cli.table import terminal_width
from agent.config.instances import Folders, folders
from agent.control import client
from agent.decide.status import Status
from agent.decide.status_json import SCHEMA, encode_status
from agent.errors import FAILURE, NOT_RUNNING, OK, AgentError, NoSuchInstance, NotRunning

Ask = Callable[[Path, float], Status]


def add_options(parser: argparse.ArgumentParser) -> None:
    """Say what the command does, and add its options."""
    parser.description = (
        "Exit status: 0 running; 3 not running; 4 no such instance; 1 when an agent gives no answer, with --wait when it is "
        "not ready in time, and with --strict when it starts or stops, a queue runs nothing, or the last reload was refused."
    )
    add_instance(parser, "all of this node")
    parser.add_argument("--json", action="store_true", help="one JSON value, documented in docs/status.md")
    parser.add_argument(
        "--strict",
        action="store_true",
        help="exit with 1 when it starts or stops, a queue runs nothing, or the last reload was refused",
    )
    parser.add_argument(
        "--wait", metavar="SECONDS", type=float, help="wait until every queue is consuming, or the agent has ended"
    )
    parser.set_defaults(run=_status)


def named_or_running(places: Folders, instance: str | None) -> tuple[str, ...]:
    """Return the instance that was named, or all that a daemon answers for; raises where there is none."""
    if instance is not None:
        if instance not in places.known():
            raise places.unknown(instance)
        if _ask(places, instance) is None:
            raise NotRunning(f"{instance} is not running: start it with `systemctl start celery-agent@{instance}`.")
        return (instance,)
    running = tuple(each for each in places.known() if _ask(places, each) is not None)
    if not running:
        raise NotRunning(
            "No instance runs on this node: see `agent status`, start one with `systemctl start celery-agent@NAME`."
        )
    return running


def looks(places: Folders, instance: str | None) -> dict[str, Status | str]:
    """Return the status of one instance, or of all, or in a word why there is none; raises NoSuchInstance."""
    found = answers(places, instance)
    return {name: _state_without(each) if isinstance(each, AgentError) else each for name, each in found.items()}


def answers(
    places: Folders, instance: str | None, timeout: float = client.STATUS_TIMEOUT, ask: Ask = client.status
) -> dict[str, Status | AgentError]:
    """Return the status of one instance, or of all, or the error that says why there is none; raises NoSuchInstance.

    timeout: seconds for each of them. ask: what of `agent.control.client` asks them.
    """
    if instance is not None and instance not in places.known():
        raise places.unknown(instance)
    return {name: _answer(places, name, timeout, ask) for name in _names(places, instance)}


def _names(places: Folders, instance: str | None) -> tuple[str, ...]:
    names = places.known() if instance is None else (instance,)
    if not names:
        raise NoSuchInstance(f"No instance is configured on this node: {places.config} has no env file.")
    return names


def _status(options: argparse.Namespace) -> int:
    places = folders(os.environ)
    if options.instance is not None and options.instance not in places.known() and options.wait is None:
        raise places.unknown(options.instance)
    instances = _names(places, options.instance)
    try:
        if options.wait is not None:
            from agent.cli.waiting import wait_until_consuming  # noqa: PLC0415 - with it come programs that most calls don't run

            wait_until_consuming(places, instances, options.wait)
    finally:
        found = {instance: _answer(places, instance) for instance in instances}
        print(_json(options.instance, found) if options.json else "\n\n".join(map(_text, found.items())))
    failures = [each for each in found.values() if isinstance(each, AgentError)]
    for failure in failures:
        if not isinstance(failure, NotRunning):
            raise failure
    if failures:
        return NOT_RUNNING
    return FAILURE if options.strict and any(_is_degraded(each) for each in found.values()) else OK


def _answer(
    places: Folders, instance: str, timeout: float = client.STATUS_TIMEOUT, ask: Ask = client.status
) -> Status | AgentError:
    """Return an instance's status, or the error that says why there is none: one that hangs must not hide the others."""
    try:
        return ask(places.runtime_folder(instance), timeout)
    except AgentError as error:
        return error


def _ask(places: Folders, instance: str) -> Status | None:
    """Return an instance's status, or None where it does not run; raises AgentError where it runs and does not answer."""
    match _answer(places, instance):
        case NotRunning():
            return None
        case AgentError() as error:
            raise error
        case status:
            return status


def _is_degraded(answer: Status | AgentError) -> bool:
    return isinstance(answer, AgentError) or answer.is_degraded()


def _text(item: tuple[str, Status | AgentError]) -> str:
    instance, answer = item
    return (
        f"{instance}: {_state_without(answer)}" if isinstance(answer, AgentError) else render(answer, terminal_width())
    )


def _json(instance: str | None, found: dict[str, Status | AgentError]) -> str:
    values = [
        {"schema": SCHEMA, "instance": name, "state": _state_without(answer)}
        if isinstance(answer, AgentError)
        else encode_status(answer)
        for name, answer in found.items()
    ]
    return json.dumps({"schema": SCHEMA, "instances": values} if instance is None else values[0], indent=2)


def _state_without(error: AgentError) -> str:
    return "not running" if isinstance(error, NotRunning) else "no answer"
