"""`make bench`: the agent beside its peers, in one run on one private broker; leaves a report in bench/README.md.

make bench                                        everything, in a quarter of an hour
make bench BENCH="--queues 5 --pool solo"         a look: starts alone, in one round, and nothing is written
make bench BENCH="--only answers scrapes"         these sections alone, each in place of the former one of the report
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
from pathlib import Path

from agent.guest.kernel import become_subreaper
from bench import machine
from bench.report import inserted, renewed
from bench.sections import ALONE, Case, everything, starts
from bench.stage import BenchError
from bench.witness import PLUGIN
from bench.workload import POOLS
from tests import leftovers
from tests.rabbitmq import RabbitMQ

REPORT = Path(__file__).parent / "README.md"
MARK = "<!-- What follows was written by `make bench`. -->"


def main() -> int:
    """Measure, print and write; return the exit status."""
    options = _options()
    leftovers.begin()
    become_subreaper()  # so that nothing that is started goes astray, and what it cost is known when it has ended
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # what was started is ended on the way out
    try:
        if options.only:
            return _renew(options.only)
        text = "\n".join(_report([Case(count, pool) for count in options.queues for pool in options.pool]))
    except (BenchError, KeyboardInterrupt) as error:
        print(f"bench: {str(error) or 'interrupted'}", file=sys.stderr)
        return 1
    print(f"\n{text}")
    if not options.queues:
        REPORT.write_text(inserted(REPORT.read_text(), MARK, text))
    return 0


def _report(cases: list[Case]) -> list[str]:
    """Return the lines of a report on these cases, or on everything where there is none."""
    broker = RabbitMQ(plugins=[PLUGIN])
    try:
        broker.start()
        facts, before = machine.facts(broker), machine.load()
        lines = [line for case in cases for line in starts(case, broker)] if cases else list(everything(broker))
        load = (
            f"load of the last minute: {before:.1f} before, {machine.load():.1f} at the end, the bench's own included"
        )
        return [*(f"- {fact}" for fact in (*facts, load)), "", *lines]
    finally:
        broker.close()


def _renew(names: list[str]) -> int:
    broker = RabbitMQ(plugins=[PLUGIN])
    try:
        broker.start()
        for name in names:
            title, _, *lines = ALONE[name](broker)
            load = f"at a load of {machine.load():.1f} at its end, with a niceness of {os.nice(0)}"
            when = f"Measured alone, {machine.facts(broker)[0]}, {load}."
            section = [title, "", when, "", *lines]
            print("\n".join(section))
            REPORT.write_text(renewed(REPORT.read_text(), section))
    finally:
        broker.close()
    return 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench", description="Without options: everything, and a report.")
    parser.add_argument("--queues", type=int, nargs="+", default=[], metavar="N", help="only starts, of so many queues")
    parser.add_argument("--only", nargs="+", default=[], choices=ALONE, help="only these sections, into the report")
    parser.add_argument("--pool", nargs="+", choices=POOLS, default=["solo"], help="in these pools; default: solo")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
