"""`agent revoke ID… [INSTANCE]`: has tasks not be run, on whatever node, and ends those that run where it is told to."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence

from agent.cli.operating import configuration_of, login_of
from agent.cli.plain import plain
from agent.config.credentials import with_credentials
from agent.config.instances import Folders, folders
from agent.errors import OK, AgentError
from agent.operate.revoking import revoke

SIGNALS = ("SIGTERM", "SIGKILL", "SIGQUIT", "SIGUSR1")


def add_options(parser: argparse.ArgumentParser) -> None:
    """Say what the command does, and add its options."""
    parser.description = (
        "Has tasks not be run, on whatever node they come to, by their ids. Who waits for a result is told TaskRevokedError. "
        "See docs/revoking.md."
    )
    parser.add_argument("words", metavar="ID", nargs="+", help="of a task, in full; may be repeated")
    # For people who read the help: the last of the words is the instance, where there is one of that name.
    parser.usage = (
        "agent revoke [-h] [--terminate] [--signal NAME] [--user USER --password-file FILE] ID [ID ...] [INSTANCE]"
    )
    parser.epilog = "INSTANCE says which broker, and may be left out where this node has one instance only."
    parser.add_argument("--terminate", action="store_true", help="end what runs of them too, in pools of processes")
    parser.add_argument("--signal", choices=SIGNALS, help="to end it by; default SIGTERM; implies --terminate")
    parser.add_argument("--user", help="the broker's user to connect as; default: the node's own")
    parser.add_argument("--password-file", metavar="FILE", help="holds that user's password")
    parser.set_defaults(run=_revoke)


def _revoke(options: argparse.Namespace) -> int:
    places = folders(os.environ)
    ids, instance = _parted(options.words, places)
    configuration = configuration_of(places, instance)
    signal = options.signal or ("SIGTERM" if options.terminate else None)
    environment = with_credentials(os.environ, instance)
    done = revoke(configuration, environment, login_of(options), ids, signal)
    tasks = "1 task" if len(ids) == 1 else f"{len(ids)} tasks"
    for how in done.how:
        print(plain(f"{instance}: {tasks} revoked: {how}"))
    if done.unended:
        queues = ", ".join(done.unended)
        unless = "unless it is a coroutine on threads: threads and solo end no function"
        print(plain(f"agent: What runs goes on in {queues}, {unless}."), file=sys.stderr)
    return OK


def _parted(words: Sequence[str], places: Folders) -> tuple[Sequence[str], str]:
    """Return the ids, and the instance; raises AgentError where one of them is not named."""
    *ids, last = words
    if _is_instance(last, places):
        if not ids:
            raise AgentError(f"{last} is an instance: name the ids of tasks before it.")
        return ids, last
    configured = places.configured()
    if len(configured) != 1:
        named = f"one of {', '.join(configured)}" if configured else "this node has none that may be looked at"
        raise AgentError(f"Name the instance whose broker has the tasks, behind their ids: {named}.")
    return words, configured[0]


def _is_instance(word: str, places: Folders) -> bool:
    try:
        return places.is_configured(word)
    except AgentError:  # no name that an instance could have
        return False
