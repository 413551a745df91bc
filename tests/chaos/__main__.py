"""Plays the faults and prints the table: `python -m tests.chaos`, or `make chaos`."""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import groupby, product
from pathlib import Path

from tests import leftovers
from tests.chaos.catalogue import LONG_COUNT, POOLS, RATE, Fault, long_form
from tests.chaos.network import Network
from tests.chaos.run import Outcome, play
from tests.chaos.stage import Setting, Stage
from tests.chaos.table import PROFILES, machine_facts, put_into, render, table_in
from tests.cluster import Cluster
from tests.rabbitmq import RabbitMQ


def main() -> int:
    """Play what is asked for; return 1 where the safe profile has lost a task or came to no end."""
    options = _options()
    leftovers.begin()
    print(f"seed {options.seed}", file=sys.stderr)
    every = long_form(options.count, options.rate, options.seed)
    faults = [fault for fault in every if any(text in fault.name for text in options.only)]
    order = [(fault.name, pool) for fault in every for pool in fault.pools]
    facts = f"{machine_facts()} {options.rate:g} tasks a second. Seed of full chaos: {options.seed}."
    before = table_in(options.write.read_text()) if options.write is not None else ""
    outcomes = []
    for outcome in _outcomes(faults, options):
        outcomes.append(outcome)
        if options.write is not None:  # at once: what was played is not lost with a run that is cut short
            options.write.write_text(put_into(options.write.read_text(), render(outcomes, facts, order, before)))
    print(render(outcomes, facts, order))
    return int(any(each.profile == "safe" and (each.verdict.lost or each.trouble) for each in outcomes))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.add_argument(
        "--only", nargs="+", default=[""], help="play the faults whose names have one of these texts in them"
    )
    parser.add_argument("--pools", nargs="+", choices=POOLS, default=POOLS)
    parser.add_argument("--profiles", nargs="+", choices=PROFILES, default=PROFILES)
    parser.add_argument("--count", type=int, default=LONG_COUNT, help="tasks a run (full chaos takes five minutes)")
    parser.add_argument("--rate", type=float, default=RATE, help="tasks a second, no more than the pools are good for")
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1_000_000), help="of full chaos")
    parser.add_argument("--logs", type=Path, help="a folder to keep ledgers and logs in")
    parser.add_argument("--write", type=Path, help="the document whose table the rows are put into")
    return parser.parse_args()


def _outcomes(faults: list[Fault], options: argparse.Namespace) -> Iterator[Outcome]:
    with Network() as network:
        for size, group in groupby(faults, lambda fault: fault.nodes):
            with _broker(size) as nodes:
                for fault, pool, profile in product(group, options.pools, options.profiles):
                    if pool in fault.pools:
                        yield _run(fault, fault.setting(pool, profile), network, nodes, options.logs)


@contextmanager
def _broker(size: int) -> Iterator[list[RabbitMQ]]:
    """Run a broker of so many nodes."""
    broker = Cluster(size)
    try:
        broker.start()
        yield broker.nodes
    finally:
        broker.close()


def _run(fault: Fault, setting: Setting, network: Network, nodes: list[RabbitMQ], logs: Path | None) -> Outcome:
    started = time.monotonic()
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        if logs is not None:
            folder = logs / f"{fault.name}, {setting.pool}, {setting.profile}"
            folder.mkdir(parents=True)
        stage = Stage(folder, network, nodes, setting)
        try:
            outcome = play(fault, stage)
        finally:
            stage.close()
    verdict = outcome.verdict
    print(
        f"{fault.name}, {setting.pool}, {setting.profile}: {verdict.accepted} accepted, {len(verdict.lost)} lost, "
        f"{len(verdict.twice)} run twice, {len(verdict.kept)} dead letters, {verdict.interrupted} interrupted, "
        f"{verdict.refused} refused, recovery {outcome.recovery}, {time.monotonic() - started:.0f} s"
        f"{f', {outcome.trouble}' if outcome.trouble else ''}",
        file=sys.stderr,
        flush=True,
    )
    return outcome


if __name__ == "__main__":
    sys.exit(main())
