"""`agent check [INSTANCE]`: what is wrong with a configuration, without starting anything."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterable
from itertools import chain
from pathlib import Path
from textwrap import indent

from agent.cli.options import add_env_file, add_instance, json_text
from agent.cli.plain import plain, plain_lines
from agent.config.instances import checked_name, folders
from agent.errors import OK, NoSuchInstance
from agent.operate.checks import check, check_without_broker, exit_status, running
from agent.operate.findings import Finding


def add_options(parser: argparse.ArgumentParser) -> None:
    """Say what the command does, and add its options."""
    parser.description = (
        "Reads the env file, imports the tasks, reaches for the broker, and says what is wrong and what to do; "
        "also where the instance runs, and a queue of it runs nothing. "
        "Exit status: 0 all is well, 1 a broker can't be reached, 4 there is no instance to check, "
        "78 the configuration can't be run."
    )
    add_instance(parser, "all that have an env file")
    add_env_file(parser)
    parser.add_argument("--json", action="store_true", help="one JSON value, documented in docs/settings.md")
    parser.add_argument(
        "--without-broker",
        action="store_true",
        help="reach for neither broker nor result store; exit status 0 or 78",
    )
    parser.set_defaults(run=_check)


def _check(options: argparse.Namespace) -> int:
    instances = _named(options)
    found: dict[str, tuple[Finding, ...]] = {}
    for instance, path in instances.items():
        look = check_without_broker if options.without_broker else check
        findings: Iterable[Finding] = look(instance, path, os.environ)
        if options.env_file is None:
            findings = chain(findings, running(instance, folders(os.environ).runtime_folder(instance)))
        found[instance] = tuple(findings) if options.json else tuple(_printed(instance, findings))
    if options.json:
        print(json_text(instances=[_value(*item) for item in found.items()]))
    return max((exit_status(findings) for findings in found.values()), default=OK)


def _named(options: argparse.Namespace) -> dict[str, Path]:
    places = folders(os.environ)
    if options.env_file is not None:
        name = options.instance or options.env_file.name.removesuffix(".env")
        return {checked_name(name): options.env_file.absolute()}
    names = places.configured() if options.instance is None else (options.instance,)
    if not names:
        raise NoSuchInstance(f"No instance is configured on this node: {places.config} has no env file.")
    return {name: places.env_file(name) for name in names}


def _printed(instance: str, findings: Iterable[Finding]) -> Iterable[Finding]:
    for finding in findings:
        print(plain(f"{instance}: {finding.level:<4}  {finding.subject:<8}  {finding.text}"), flush=True)
        if finding.detail:
            print(indent(plain_lines(finding.detail.rstrip()), "    "), file=sys.stderr, flush=True)
        yield finding


def _value(instance: str, findings: tuple[Finding, ...]) -> dict[str, object]:
    return {
        "instance": instance,
        "exit_status": exit_status(findings),
        "findings": [
            {"level": each.level, "subject": each.subject, "text": each.text, "detail": each.detail}
            for each in findings
        ],
    }
