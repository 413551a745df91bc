"""`make bench-apps`: what workers of a project's own app take of memory, hosted in several ways; written into docs/apps.md.

make bench-apps                              both apps, three rounds each
make bench-apps BENCH="--only shop --rounds 1"
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from datetime import UTC, datetime
from pathlib import Path

from agent.guest.kernel import become_subreaper
from bench import machine
from bench.hosting import CELERY_MULTI, CELERY_WORKER, WAYS, Hosting, Memory, measure, table
from bench.stage import BenchError
from tests import leftovers
from tests.node import ROOT
from tests.projects import Shop
from tests.public import weblate
from tests.rabbitmq import RabbitMQ
from tests.redis import Redis

DOCUMENT = ROOT / "docs" / "apps.md"
TASKS = 20  # for each queue
SHOP_S = ("celery", "mail", "orders", "reports")
ADDED = tuple(f"more{number}" for number in range(6))

WORK_OF_THE_SHOP = """
from shop.reports.tasks import turnover
results = [turnover.apply_async(("book",), queue=queue) for queue in {queues!r} for _ in range({tasks})]
value = [result.get(timeout=600) for result in results].count(0)
"""
WORK_OF_WEBLATE = """
from weblate.utils.tasks import ping
results = [ping.apply_async(queue=queue) for queue in {queues!r} for _ in range({tasks})]
value = len([result.get(timeout=600) for result in results])
"""


@contextmanager
def shop() -> Iterator[Hosting]:
    """Ten queues of the shop in examples/existing, on RabbitMQ."""
    with ExitStack() as stack:
        broker, results = stack.enter_context(closing(RabbitMQ())), stack.enter_context(closing(Redis()))
        broker.start()
        results.start()
        broker.add_vhost("shop")
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="celery-agent-bench-")))
        project = Shop(folder, broker, "shop", results.url)
        queues = dict.fromkeys((*SHOP_S, *ADDED), (1, 4))
        work = WORK_OF_THE_SHOP.format(queues=list(queues), tasks=TASKS)
        yield Hosting(
            app=project.app,
            code=project.code,
            python=Path(sys.executable),
            preload="shop.celery",
            variables=project.variables,
            queues=queues,
            consume=",".join((*SHOP_S, *(f"+{queue}" for queue in ADDED))),
            work=lambda: _done(lambda: project.python(work), len(queues) * TASKS),
        )


@contextmanager
def public() -> Iterator[Hosting]:
    """Weblate, with the queues, concurrency and prefetch of its own example, on Redis."""
    with ExitStack() as stack:
        cache = stack.enter_context(closing(Redis()))
        cache.start()
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="celery-agent-bench-")))
        folder.chmod(0o711)  # the database server is another user's
        site = stack.enter_context(closing(weblate.Site(folder, cache)))
        work = WORK_OF_WEBLATE.format(queues=list(weblate.QUEUES), tasks=TASKS)
        yield Hosting(
            app=weblate.APP,
            code=site.code,
            python=weblate.PYTHON,
            preload="weblate.utils.celery",
            variables=site.variables,
            queues=weblate.QUEUES,
            consume="",
            work=lambda: _done(lambda: site.python(work), len(weblate.QUEUES) * TASKS),
        )


APPS = {"shop": (shop, CELERY_MULTI), "weblate": (public, CELERY_WORKER)}  # each with the way that is left out


def main() -> int:
    """Measure, print and write; return the exit status."""
    options = _options()
    leftovers.begin()
    become_subreaper()  # so that nothing that is started goes astray
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # what was started is ended on the way out
    for name in options.only:
        try:
            lines = _measured(name, options.rounds)
        except (BenchError, KeyboardInterrupt) as error:
            print(f"bench: {str(error) or 'interrupted'}", file=sys.stderr)
            return 1
        print("\n".join(lines))
        if options.rounds > 1:
            DOCUMENT.write_text(replaced(DOCUMENT.read_text(), name, lines))
    return 0


def replaced(document: str, name: str, lines: list[str]) -> str:
    """Return a document with the lines between the two marks of a name; raises ValueError without these."""
    begin, end = f"<!-- {name}: written by `make bench-apps` -->\n", f"<!-- {name}: end -->"
    before, first, rest = document.partition(begin)
    _, second, after = rest.partition(end)
    if not first or not second:
        raise ValueError(f"there is no {begin!r}, or nothing that ends it")
    return f"{before}{begin}{chr(10).join(['', *lines, ''])}\n{second}{after}"


def _measured(name: str, count: int) -> list[str]:
    app, left_out = APPS[name]
    rounds: list[dict[str, Memory]] = []
    with app() as hosting:
        for number in range(count):
            rounds.append({})
            for way in WAYS:
                if way != left_out:
                    print(f"bench: {name}, round {number + 1}: {way.format(preload=hosting.preload)}", file=sys.stderr)
                    rounds[-1][way] = measure(hosting, way)
        times = "Once" if count == 1 else f"Medians of {count} rounds, with the least and the most"
        facts = f"{times}; {datetime.now(UTC):%Y-%m-%d}, {os.cpu_count()} cores, load {machine.load():.0f} at the end."
        return [*table(hosting, rounds), "", facts]


def _done(work: Callable[[], object], expected: int) -> None:
    if (found := work()) != expected:
        raise BenchError(f"of {expected} tasks {found} were done")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench.apps", description="Memory of hosted apps.")
    parser.add_argument("--only", nargs="+", choices=tuple(APPS), default=list(APPS))
    parser.add_argument("--rounds", type=int, default=3, help="with one of them nothing is written")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
