"""`agent topology INSTANCE …`: what the broker needs for some instances, and the least rights that its users need."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Sequence
from dataclasses import astuple
from pathlib import Path

from agent.cli.operating import configuration_of, password_in
from agent.cli.plain import plain, plain_lines
from agent.cli.table import table
from agent.config.credentials import with_credentials
from agent.config.instances import Folders, folders
from agent.config.planner import template_of
from agent.errors import OK, AgentError
from agent.guest.spec import lease_of
from agent.operate.definitions import definitions
from agent.operate.inquiry import inquire
from agent.operate.rights import Declared, Needs, Permission, TopicPermission, needs_of, permissions


def add_options(parser: argparse.ArgumentParser) -> None:
    """Say what the command does, and add its options."""
    parser.description = (
        "Prints queues, exchanges and the rights that users need where the operator declares all of it and nobody else "
        "may (CELERY_TASKS_DECLARE=0). Nothing is sent to the broker. See docs/broker.md."
    )
    parser.add_argument("instances", metavar="INSTANCE", nargs="+", help="all that share a broker's user, in one go")
    parser.add_argument("--definitions", action="store_true", help="as JSON for `rabbitmqctl import_definitions`")
    parser.add_argument(
        "--producer", metavar="USER", action="append", default=[], help="a user who sends tasks; may be repeated"
    )
    parser.add_argument(
        "--operator",
        metavar="USER",
        action="append",
        default=[],
        help="a user for `agent dead-letters`; may be repeated",
    )
    parser.add_argument(
        "--password-file",
        metavar="USER=FILE",
        action="append",
        default=[],
        help="create the user with the password in a file, as a hash; without it the user must be there; may be repeated",
    )
    parser.set_defaults(run=_topology)


def _topology(options: argparse.Namespace) -> int:
    places = folders(os.environ)
    instances = {name: _needs(places, name) for name in options.instances}
    allowed, topics = permissions(instances.values(), options.producer, options.operator)
    passwords = _passwords(options.password_file, {each.user for each in allowed})
    if options.definitions:
        print(json.dumps(definitions(tuple(instances.values()), allowed, topics, passwords), indent=2))
    else:
        texts = [
            _text(name, needs.declared) if needs.declared is not None else _text_of_app(name, needs)
            for name, needs in instances.items()
        ]
        print(plain_lines("\n\n".join([*texts, _rights(allowed, topics)])))
    for note in _notes(instances, allowed, passwords if options.definitions else None):
        print(f"agent: {plain(note)}", file=sys.stderr)
    return OK


def _needs(places: Folders, instance: str) -> Needs:
    configuration = configuration_of(places, instance)
    template = template_of(configuration, with_credentials(os.environ, instance))
    settings = configuration.settings
    lease = lease_of(instance) if settings.schedule else ""
    step = {"module": "declarations", "sends": settings.sends, "lease": lease}
    _, answer = inquire(configuration, template, step)
    return needs_of(answer)


def _passwords(given: Sequence[str], users: set[str]) -> dict[str, str]:
    found: dict[str, str] = {}
    for each in given:
        user, equals, name = each.partition("=")
        if not equals or not user or not name:
            raise AgentError(f"--password-file is {each!r}, but must be USER=FILE.")
        if user not in users:
            raise AgentError(f"--password-file names user {user!r}, but the users are {', '.join(sorted(users))}.")
        found[user] = password_in(Path(name))
    return found


def _text(instance: str, declared: Declared) -> str:
    rows = [
        (queue.name, queue.purpose, json.dumps(queue.arguments))
        for queue in declared.queues
        if queue.purpose != "delays"
    ]
    lines = table([("QUEUE", "FOR", "ARGUMENTS"), *rows], ())
    count = len(declared.names("delays"))
    return "\n".join(
        [
            f"{instance}: vhost {declared.vhost}; each queue for tasks is bound to a direct exchange of its name",
            "",
            *("  " + line for line in lines),
            f"  and {count} queues for delays, each with a topic exchange of its name; every delay begins at {declared.delays}",
        ]
    )


def _text_of_app(instance: str, needs: Needs) -> str:
    if not needs.footprints:
        return f"{instance}: its app has no RabbitMQ, and there are no rights to give"
    (app, *_) = needs.footprints
    return f"{instance}: vhost {app.vhost}; its app declares its queues itself"


def _rights(allowed: Sequence[Permission], topics: Sequence[TopicPermission]) -> str:
    rows = [(each.user, each.vhost, each.configure, each.write, each.read) for each in allowed]
    lines = table([("USER", "VHOST", "CONFIGURE", "WRITE", "READ"), *rows], ())
    keys = table([("USER", "VHOST", "TOPIC EXCHANGE", "ROUTING KEYS"), *((*astuple(each),) for each in topics)], ())
    return "\n".join(
        [
            "rights, as regular expressions of names:",
            "",
            *("  " + line for line in lines),
            "",
            "topics that may be sent to:",
            "",
            *("  " + line for line in keys),
        ]
    )


def _notes(instances: dict[str, Needs], allowed: Sequence[Permission], passwords: dict[str, str] | None) -> list[str]:
    notes = []
    missing = sorted({each.user for each in allowed} - set(passwords or ()))
    if passwords is not None and missing:
        notes.append(
            f"Without a --password-file these users must be there before the import: {', '.join(missing)}. Else it ends at "
            "their rights."
        )
    for instance, needs in instances.items():
        notes += [
            f"{instance}: Celery sends by the default exchange, which leads to every queue of the vhost {app.vhost}. Have "
            "no other instance use that vhost."
            for app in needs.footprints
        ]
        declared = needs.declared
        if declared is None:
            continue
        if declared.declare:
            notes.append(
                f"{instance}: its clients declare what they use, and need more rights than these. Set CELERY_TASKS_DECLARE=0 "
                "for nodes and producers."
            )
        if declared.replies:
            notes.append(
                f"{instance}: results come through the broker, for which its user may write to the default exchange, and so "
                "into every queue of the vhost. Set CELERY_TASKS_RESULTS to redis://… or off."
            )
    return notes
