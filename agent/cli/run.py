"""`agent run INSTANCE`: one instance in the foreground, until it is told to stop."""

from __future__ import annotations

import argparse
import faulthandler
import os
from pathlib import Path

from agent.config.instances import folders
from agent.run.daemon import Daemon


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command to the parser."""
    parser = commands.add_parser("run", help="run an instance in the foreground; what systemd does")
    parser.add_argument("instance", metavar="INSTANCE")
    parser.add_argument("--env-file", type=Path, help="default: INSTANCE.env in the config folder (/etc/celery-agent)")
    parser.set_defaults(run=_run)


def _run(options: argparse.Namespace) -> int:
    faulthandler.enable()  # the watchdog's SIGABRT shows where it hung
    places = folders(os.environ)
    folder = places.runtime_folder(options.instance)
    env_file = options.env_file or places.env_file(options.instance)
    return Daemon(options.instance, env_file.absolute(), folder).run()
