"""`agent dead-letters INSTANCE [ACTION …]`: lists tasks that could not be done, sends them back, or throws them away."""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict

from agent.cli.letter_table import listing, whole
from agent.cli.operating import configuration_of, login_of
from agent.cli.options import age, json_text
from agent.cli.plain import plain
from agent.config.credentials import with_credentials
from agent.config.instances import folders
from agent.config.validation import Configuration
from agent.errors import FAILURE, OK, AgentError
from agent.guest.dead_letter import DeadLetter
from agent.operate.desk import Action, Visit, visit

CONTENT = {"headers", "body", "traceback"}  # what `show` alone has


def add_options(parser: argparse.ArgumentParser) -> None:
    """Say what the command does, and add its options."""
    parser.description = (
        "Without an ACTION lists the tasks in the dead-letter queues of an instance: unknown names, wrong arguments, "
        "exhausted deliveries, messages that are no tasks, and, with FAILED=keep, what raised. Listing takes nothing away. See "
        "docs/dead-letters.md."
    )
    parser.add_argument("instance", metavar="INSTANCE")
    parser.set_defaults(
        run=_dead_letters,
        act=_list,
        queue=None,
        json=False,
        user=None,
        password_file=None,
        ids=[],
        all=False,
        yes=False,
        older_than=None,
    )
    _add_options(parser)
    actions = parser.add_subparsers(metavar="ACTION")
    show = actions.add_parser("show", help="show letters with their headers and body")
    show.add_argument("ids", metavar="ID", nargs="+", help="of the task; its first characters are enough")
    replay = actions.add_parser(
        "replay", help="send letters back to their queue, each confirmed before it is removed here"
    )
    replay.add_argument("ids", metavar="ID", nargs="*", default=[], help="of the task; its first characters are enough")
    replay.add_argument("--all", action="store_true", help="all that are there now, the oldest first")
    purge = actions.add_parser("purge", help="throw letters away; asks first")
    purge.add_argument("ids", metavar="ID", nargs="*", default=[], help="of the task; default: all that are there now")
    purge.add_argument(
        "--older-than", metavar="AGE", type=age, help="only what died longer ago: seconds, or 90m, 36h, 30d, 2w"
    )
    purge.add_argument("--yes", action="store_true", help="do not ask")
    for action, act in ((show, _show), (replay, _replay), (purge, _purge)):
        action.set_defaults(act=act)
        _add_options(action)


def _add_options(parser: argparse.ArgumentParser) -> None:
    """Add options that may stand before an action or after it; their defaults are set for the whole command."""
    later = argparse.SUPPRESS
    parser.add_argument("--queue", metavar="QUEUE", default=later, help="the dead letters of this queue alone")
    parser.add_argument("--json", action="store_true", default=later, help="one JSON value: docs/dead-letters.md")
    parser.add_argument("--user", default=later, help="the broker's user to connect as; default: the node's own")
    parser.add_argument("--password-file", metavar="FILE", default=later, help="holds that user's password")


def _dead_letters(options: argparse.Namespace) -> int:
    configuration = configuration_of(folders(os.environ), options.instance)
    status: int = options.act(options, options.instance, configuration)
    return status


def _list(options: argparse.Namespace, instance: str, configuration: Configuration) -> int:
    letters = _visit(options, configuration, Action.LIST, None).letters
    print(json_text(**_value(instance, letters)) if options.json else listing(instance, letters))
    return OK


def _show(options: argparse.Namespace, instance: str, configuration: Configuration) -> int:
    letters = _visit(options, configuration, Action.SHOW, options.ids).letters
    print(json_text(**_value(instance, letters)) if options.json else "\n\n".join(map(whole, letters)))
    return OK


def _replay(options: argparse.Namespace, instance: str, configuration: Configuration) -> int:
    if bool(options.ids) == options.all:
        raise AgentError("Name the ids of the letters to replay, or say --all.")
    found = _visit(options, configuration, Action.REPLAY, None if options.all else options.ids)
    return _tell(options, instance, found, "replayed")


def _purge(options: argparse.Namespace, instance: str, configuration: Configuration) -> int:
    before = None if options.older_than is None else time.time() - options.older_than
    letters = _visit(options, configuration, Action.LIST, options.ids or None, before).letters
    if letters and not options.yes:
        _ask(instance, letters)
    # Only what was listed is purged: nobody was asked about letters that came after that.
    ids = sorted({letter.id for letter in letters})
    found = _visit(options, configuration, Action.PURGE, ids, before) if ids else Visit((), (), "")
    return _tell(options, instance, found, "purged")


def _ask(instance: str, letters: Sequence[DeadLetter]) -> None:
    if not sys.stdin.isatty():
        raise AgentError(
            f"{instance} has {len(letters)} to purge; say --yes where nobody can be asked. Nothing was purged."
        )
    print(listing(instance, letters), file=sys.stderr)
    print(f"Throw {len(letters)} away for good? [y/N] ", end="", file=sys.stderr, flush=True)
    if sys.stdin.readline().strip().lower() not in {"y", "yes"}:
        raise AgentError("Nothing was purged.")


def _tell(options: argparse.Namespace, instance: str, found: Visit, word: str) -> int:
    if options.json:
        print(json_text(instance=instance, **{word: [asdict(each) for each in found.done]}))
    else:
        queues = [each.queue for each in found.done]
        counts = ", ".join(f"{queues.count(queue)} of {queue}" for queue in sorted(set(queues)))
        print(f"{instance}: {len(found.done)} {word}{': ' if counts else ''}{counts}")
    if found.problem:
        print(f"agent: {plain(found.problem)}", file=sys.stderr)
        return FAILURE
    return OK


def _visit(
    options: argparse.Namespace,
    configuration: Configuration,
    action: Action,
    ids: Sequence[str] | None,
    before: float | None = None,
) -> Visit:
    environment = with_credentials(os.environ, options.instance)
    return visit(configuration, environment, login_of(options), action, options.queue, ids, before)


def _value(instance: str, letters: Sequence[DeadLetter]) -> dict[str, object]:
    return {"instance": instance, "letters": [_letter(letter) for letter in letters]}


def _letter(letter: DeadLetter) -> dict[str, object]:
    value = asdict(letter)
    return value if letter.body is not None else {name: value[name] for name in value if name not in CONTENT}
