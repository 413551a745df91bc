"""`agent schedule INSTANCE`: its periodic tasks, when each was last sent and when it is next, and which node sends."""

from __future__ import annotations

import argparse
import os
from dataclasses import asdict

from agent.cli.options import json_text
from agent.cli.plain import plain
from agent.cli.timetable import heading, rows
from agent.config.instances import folders
from agent.control import client
from agent.errors import OK, AgentError


def add_options(parser: argparse.ArgumentParser) -> None:
    """Say what the command does, and add its options."""
    parser.description = (
        "Shows periodic tasks (CELERY_AGENT_SCHEDULE). The node that sends knows of them; see docs/schedules.md."
    )
    parser.add_argument("instance", metavar="INSTANCE")
    parser.add_argument("--json", action="store_true", help="one JSON value; times in seconds since the epoch")
    parser.set_defaults(run=_schedule)


def _schedule(options: argparse.Namespace) -> int:
    places = folders(os.environ)
    if options.instance not in places.known():
        raise places.unknown(options.instance)
    schedule = client.status(places.runtime_folder(options.instance)).schedule
    if schedule is None:
        raise AgentError(f"{options.instance} has no periodic tasks: its env file has no CELERY_AGENT_SCHEDULE.")
    if options.json:
        print(json_text(instance=options.instance, **asdict(schedule)))
    else:
        print("\n".join(map(plain, [f"{options.instance}: {heading(schedule)}", *rows(schedule)])))
    return OK
