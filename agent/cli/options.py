"""What several commands share: options of one meaning, and the form of their JSON."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

SCHEMA = 1  # of the JSON of `check`, `config` and `dead-letters`; grows when a reader of the old form could be misled
UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}  # seconds


def add_instance(parser: argparse.ArgumentParser, default: str) -> None:
    """Add the name of an instance that may be left out; `default` says what is meant then."""
    parser.add_argument("instance", metavar="INSTANCE", nargs="?", help=f"default: {default}")


def add_env_file(parser: argparse.ArgumentParser) -> None:
    """Add the option that names another env file than the instance's own."""
    parser.add_argument("--env-file", type=Path, help="default: INSTANCE.env in the config folder (/etc/celery-agent)")


def age(text: str) -> float:
    """Return a duration as seconds: a number of them, or one with a unit, such as 36h; for argparse."""
    number, unit = (text[:-1], text[-1:]) if text[-1:] in UNITS else (text, "s")
    if not (number.isascii() and number.isdigit()):
        raise argparse.ArgumentTypeError(
            f"{text!r} is no age: write seconds, or a number with m, h, d or w, such as 30d"
        )
    return float(int(number) * UNITS[unit])


def json_text(**values: object) -> str:
    """Return values as one JSON object, with the number of its form."""
    return json.dumps({"schema": SCHEMA, **values}, indent=2)
