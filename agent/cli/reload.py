"""`agent reload [INSTANCE]`: have instances read their env files anew."""

from __future__ import annotations

import argparse
import os

from agent.cli.options import add_instance
from agent.cli.plain import plain
from agent.cli.status import named_or_running
from agent.cli.waiting import wait_until_consuming
from agent.config.instances import folders
from agent.control import client
from agent.decide.plan import Difference
from agent.errors import OK


def add_options(parser: argparse.ArgumentParser) -> None:
    """Say what the command does, and add its options."""
    parser.description = (
        "Applies what changed in an instance's env file; queues that did not change are left alone. An invalid file "
        "changes nothing. A reload reads the env file, not your code: after a new library, new contracts or new code run "
        "`systemctl restart celery-agent@INSTANCE`."
    )
    add_instance(parser, "all that run on this node")
    parser.add_argument(
        "--wait",
        metavar="SECONDS",
        type=float,
        nargs="?",
        const=60.0,
        help="until every queue is consuming; default 60",
    )
    parser.set_defaults(run=_reload)


def _reload(options: argparse.Namespace) -> int:
    places = folders(os.environ)
    instances = named_or_running(places, options.instance)
    for instance in instances:
        change = client.reload(places.runtime_folder(instance))
        print(plain(f"{instance}: {_words(change)}"))
    if options.wait is not None:
        wait_until_consuming(places, instances, options.wait)
    return OK


def _words(change: Difference) -> str:
    parts = [
        f"{name} {', '.join(getattr(change, name))}"
        for name in ("added", "changed", "adjusted", "removed")
        if getattr(change, name)
    ]
    if change.outdated:
        queues = ", ".join(change.outdated)
        parts.append(f"newer code is not run by {queues}: restart the instance")
    return "; ".join([*parts, f"{len(change.unchanged)} unchanged"])
