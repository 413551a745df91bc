"""`agent probe live|ready|healthy INSTANCE`: one question for monitoring, answered by the exit status within milliseconds."""

from __future__ import annotations

import argparse
import os

from agent.cli.plain import plain
from agent.config.instances import folders
from agent.control import client
from agent.decide.status import Status
from agent.errors import FAILURE, OK

LIVE, READY, HEALTHY = "live", "ready", "healthy"
MOST = 3  # queues that are named with their causes; of more the summary says what they have in common


def add_options(parser: argparse.ArgumentParser) -> None:
    """Say what the command does, and add its options."""
    parser.description = (
        "live: the daemon answers. ready: every queue is being consumed from. healthy: no queue is stuck, hung, deaf, in "
        "back-off or quarantined; a broker that is down is not held against the node. "
        "Exit status: 0 yes; 1 no, and the line says why; 3 not running; 4 no such instance."
    )
    parser.add_argument("question", choices=(LIVE, READY, HEALTHY))
    parser.add_argument("instance", metavar="INSTANCE")
    parser.set_defaults(run=_probe)


def _probe(options: argparse.Namespace) -> int:
    places = folders(os.environ)
    if options.instance not in places.known():
        raise places.unknown(options.instance)
    status = client.health(places.runtime_folder(options.instance))
    against = answer(options.question, status)
    print(plain(against or f"{options.instance} is {options.question}"))
    return FAILURE if against else OK


def answer(question: str, status: Status) -> str:
    """Return what speaks against a yes, in one line; empty where it is one."""
    against = troubles(question, status)
    return status.summary if len(against) > MOST else "; ".join(against)


def troubles(question: str, status: Status) -> list[str]:
    """Return the same, each by itself."""
    wanted = [queue for queue in status.queues if queue.wanted]
    match question:
        case "ready" if not status.is_consuming():
            return [f"{each.queue}: {why}" for each in wanted if (why := each.trouble())] or [status.summary]
        case "healthy":
            return [f"{each.queue} is {each.health}: {each.cause}" for each in wanted if each.is_unhealthy]
    return []
