"""What several commands share: options of one meaning, and the form of their JSON."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

SCHEMA = 1  # of the JSON of `check`, `config` and `dead-letters`; grows when a reader of the old form could be misled


def add_instance(parser: argparse.ArgumentParser, default: str) -> None:
    """Add the name of an instance that may be left out; `default` says what is meant then."""
    parser.add_argument("instance", metavar="INSTANCE", nargs="?", help=f"default: {default}")


def add_env_file(parser: argparse.ArgumentParser) -> None:
    """Add the option that names another env file than the instance's own."""
    parser.add_argument("--env-file", type=Path, help="default: INSTANCE.env in the config folder (/etc/celery-agent)")


def json_text(**values: object) -> str:
    """Return values as one JSON object, with the number of its form."""
    return json.dumps({"schema": SCHEMA, **values}, indent=2)
