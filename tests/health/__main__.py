"""python -m tests.health [--write FILE] [NAME…]: provoke each condition, or those with a part in the name; print the table.

With --write the table takes the place of the one in a file, where all was played and went well. The exit status is 1 where a
condition got another name than it must have, too late, was not over in time, or cost a task.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator

from tests.health.command import run
from tests.health.conditions import CONDITIONS, Condition
from tests.health.play import Outcome, play
from tests.rabbitmq import RabbitMQ

BEGIN = "<!-- made by `make health` -->\n"
HEAD = "| condition | named | after | what is done | a task is run again | restarts |\n|---|---|---|---|---|---|\n"
BACK = 5.0  # seconds from the end of the cause until a task is run again


def _played(condition: Condition, broker: RabbitMQ) -> tuple[str, list[str]]:
    outcome = play(condition, broker)
    return _row(condition, outcome), list(_wrong(condition, outcome))


def _row(condition: Condition, outcome: Outcome) -> str:
    named = "-" if outcome.named is None else f"{outcome.named:.1f} s"
    word = f"`{outcome.word}`" if outcome.word else "-"
    return f"| {condition.name} | {word} | {named} | {condition.action} | {outcome.back:.1f} s | {outcome.restarts} |\n"


def _wrong(condition: Condition, outcome: Outcome) -> Iterator[str]:
    least, most = condition.restarts
    if outcome.named is not None and outcome.named > condition.within:
        yield f"it had its name after {outcome.named:.1f} s"
    if outcome.back > BACK:
        yield f"no task was run for {outcome.back:.1f} s after the cause had gone"
    if not least <= outcome.restarts <= most:
        yield f"{outcome.restarts} restarts, not {least} to {most}"
    if "agent-fault" in outcome.log:
        yield "the agent did something wrong itself"


if __name__ == "__main__":
    sys.exit(run(CONDITIONS, _played, BEGIN, HEAD))
