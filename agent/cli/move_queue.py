"""`agent move-queue INSTANCE [QUEUE]`: moves the tasks of an old queue into the safe one that has taken its place."""

from __future__ import annotations

import argparse
import os
import sys
from dataclasses import asdict
from math import isfinite

from agent.cli.operating import configuration_of
from agent.cli.options import json_text
from agent.cli.plain import plain
from agent.config.credentials import with_credentials
from agent.config.instances import folders
from agent.errors import FAILURE, OK, AgentError
from agent.operate.moves import Moved, Order, move


def add_options(parser: argparse.ArgumentParser) -> None:
    """Say what the command does, and add its options."""
    parser.description = (
        "Moves what waits in the queues that an app had before make_safe into its safe ones, each message confirmed. It may "
        "be interrupted, killed, and given again: nothing is lost or doubled. See docs/broker.md."
    )
    parser.add_argument("instance", metavar="INSTANCE")
    parser.add_argument("queue", metavar="QUEUE", nargs="?", help="to move to; default: all safe ones of its app")
    parser.add_argument("--from", metavar="OLD", dest="source", help="the old queue; default: the one of the same name")
    parser.add_argument(
        "--for", metavar="SECONDS", dest="seconds", type=_seconds, default=0.0, help="go on for so long"
    )
    parser.add_argument("--delete", action="store_true", help="delete the old queue if it is empty and nobody reads it")
    parser.add_argument("--json", action="store_true", help="one JSON value: docs/broker.md")
    parser.set_defaults(run=_move_queue)


def _seconds(text: str) -> float:
    seconds = float(text)
    if not (isfinite(seconds) and seconds >= 0):
        raise ValueError(text)
    return seconds


def _move_queue(options: argparse.Namespace) -> int:
    if options.source is not None and options.queue is None:
        raise AgentError("--from names one old queue: say which queue its tasks are to go to, as QUEUE.")
    configuration = configuration_of(folders(os.environ), options.instance)
    environment = with_credentials(os.environ, options.instance)
    order = Order(options.queue, options.source, options.seconds, options.delete)
    moved, stays = move(configuration, environment, order)
    if options.json:
        print(json_text(instance=options.instance, moved=[asdict(each) for each in moved]))
    else:
        for each in moved:
            print(f"{options.instance}: {_text(each, order)}")
    for text in stays:
        print(f"agent: {plain(text)}", file=sys.stderr)
    return FAILURE if stays else OK


def _text(moved: Moved, order: Order) -> str:
    if moved.left is None:
        return f"{moved.queue}: {moved.count} moved; there is no old queue {moved.source}"
    text = f"{moved.queue}: {moved.count} moved; {moved.left} wait in the old queue {moved.source}"
    if moved.consumers:
        text += f", and {moved.consumers} consumers read it"
    if order.delete:
        text += ", which is deleted" if moved.deleted else ", which is not deleted: it is in use"
    return text
