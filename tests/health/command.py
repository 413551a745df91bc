"""What `make health` and `make causes` have in common: they play what is asked for on one broker, and write a page of it."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol, TypeVar

from tests import leftovers
from tests.rabbitmq import RabbitMQ

END = "<!-- the end of it -->\n"


class Named(Protocol):
    """What can be played."""

    @property
    def name(self) -> str:
        """By which it is asked for."""


Item = TypeVar("Item", bound=Named)


def run(
    all_of_it: Sequence[Item], play: Callable[[Item, RabbitMQ], tuple[str, list[str]]], begin: str, head: str = ""
) -> int:
    """Play what the arguments ask for, [--write FILE] [NAME…]; return the exit status: 1 where something is not as it must be.

    play: returns what is to be written of one, and what was wrong; may raise AssertionError. begin: the line in the page behind
    which `head` and all of it are written, where all was played and nothing was wrong.
    """
    parser = argparse.ArgumentParser()
    parser.add_argument("--write", type=Path)
    parser.add_argument("names", nargs="*")
    options = parser.parse_args()
    asked = [each for each in all_of_it if not options.names or any(name in each.name for name in options.names)]
    leftovers.begin()
    broker = RabbitMQ()
    text, faults = "", 0
    try:
        broker.start()
        for each in asked:
            try:
                said, wrong = play(each, broker)
            except AssertionError as error:
                said, wrong = "", [f"{each.name}: {str(error)[:3000]}"]
                if not broker.is_running:
                    broker.start()
            text += said
            faults += bool(wrong)
            sys.stdout.write(said + "".join(f"    FAILED: {fault}\n" for fault in wrong))
            sys.stdout.flush()
    finally:
        broker.close()
    if options.write is None:
        pass
    elif faults or len(asked) < len(all_of_it):
        sys.stdout.write(
            f"{options.write} is left as it is: {faults} failed, {len(asked)} of {len(all_of_it)} were played\n"
        )
    else:
        before, _, rest = options.write.read_text().partition(begin)
        options.write.write_text(f"{before}{begin}{head}{text}{END}{rest.partition(END)[2]}")
    return 1 if faults else 0
