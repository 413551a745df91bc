"""`agent run INSTANCE`: one instance in the foreground, until it is told to stop."""

from __future__ import annotations

import argparse
import faulthandler
import os
from importlib import import_module

from agent.cli.options import add_env_file
from agent.config.instances import OPERATORS_VARIABLE, folders
from agent.guest.kernel import leave_signal_stack
from agent.run.daemon import Daemon

DEVELOP = "agent.cli.develop.session"  # loads what the daemon never does


def add_options(parser: argparse.ArgumentParser) -> None:
    """Say what the command does, and add its options."""
    parser.description = "Runs an instance until it is told to stop, by SIGTERM or Ctrl-C."
    parser.add_argument("instance", metavar="INSTANCE")
    add_env_file(parser)
    parser.add_argument(
        "--dev",
        action="store_true",
        help="for a terminal: run new code as soon as it is saved, on the embedded broker where none is named",
    )
    parser.set_defaults(run=_run)


def _run(options: argparse.Namespace) -> int:
    faulthandler.enable()  # the watchdog's SIGABRT shows where it hung
    leave_signal_stack()
    places = folders(os.environ)
    folder = places.runtime_folder(options.instance)
    env_file = options.env_file or places.env_file(options.instance)
    if options.dev:
        status: int = import_module(DEVELOP).run(options.instance, env_file.absolute())
        return status
    return Daemon(options.instance, env_file.absolute(), folder, os.environ.get(OPERATORS_VARIABLE, "")).run()
