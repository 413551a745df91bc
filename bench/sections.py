"""The sections of the report: each measures its contenders and says what came of it.

Contenders take turns within each round, so that what else happens on the machine hits all of them alike.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from statistics import median

from bench import answers, idling, scrapes, stops, throughput
from bench.contenders import SUPERVISORS, Agent, Circus, Contender, Stock, Supervisord
from bench.report import Quantity, Side, aim, table
from bench.starts import TASKS, Figures, measure, typical
from bench.workload import POOLS
from tests.rabbitmq import RabbitMQ

FASTER = 4.0  # times, than the fastest peer
LEANEST = 14.0  # MB a queue
RECOVERED = 0.2  # seconds
ANSWERED = 100.0  # ms
SCRAPED = 5.0  # ms of CPU
WATCHING = 10.0  # ms of CPU a minute
STOPS = 3  # of each contender in each pool

_AIM = ("|  | aim | | |", "|---|---|---|---|")

Rounds = Sequence[dict[str, Figures]]


@dataclass(frozen=True, slots=True)
class Case:
    """So many queues in a pool, measured in so many rounds; in each of them so many workers are killed."""

    count: int
    pool: str
    rounds: int = 1
    kills: int = 3


AIMED_AT = Case(50, "solo", rounds=3, kills=1)
OTHERS = (
    Case(20, "solo"),
    Case(5, "solo"),
    Case(1, "solo"),
    Case(50, "threads", kills=1),
    Case(50, "prefork", kills=1),
)


def everything(broker: RabbitMQ) -> Iterator[str]:
    """Return the lines of the whole report."""
    rounds = _rounds(AIMED_AT, broker)
    yield from _aims(rounds)
    yield from _compared(AIMED_AT, rounds)
    for case in OTHERS:
        yield from starts(case, broker)
    yield from _throughput(broker)
    yield from _stops(broker)
    yield from _idling(broker)
    yield from answered(broker)
    yield from watched(broker)


def starts(case: Case, broker: RabbitMQ) -> Iterator[str]:
    """Return the lines on start, memory and recovery of a case."""
    yield from _compared(case, _rounds(case, broker))


def _rounds(case: Case, broker: RabbitMQ) -> Rounds:
    rounds = []
    for _ in range(case.rounds):
        figures = {}
        for kind in SUPERVISORS:
            _say(f"{case.count} queues, {case.pool}: {kind.name}")
            figures[kind.name] = measure(kind, case.count, case.pool, case.kills, broker)
        rounds.append(figures)
    return rounds


def _compared(case: Case, rounds: Rounds) -> Iterator[str]:
    headings = (
        "all consuming",
        "CPU for it",
        "memory a queue",
        f"after {TASKS} tasks",
        "supervisor",
        "back after kill -9",
        "others meanwhile",
    )
    rows = {}
    for name in rounds[0]:
        each = typical([figures[name] for figures in rounds])
        seconds = (Quantity(each.ready, "s"), Quantity(each.cpu, "s"))
        memory = (Quantity(each.fresh, "MB"), Quantity(each.worked, "MB"), Quantity(each.own, "MB"))
        rows[name] = (*seconds, *memory, Quantity(median(each.recoveries), "s"), Quantity(each.strangers * 100, "%"))
    queues = "1 queue" if case.count == 1 else f"{case.count} queues"
    yield from _section(f"{queues}, pool {case.pool}", table(headings, rows))


def _aims(rounds: Rounds) -> Iterator[str]:
    own = typical([figures[Agent.name] for figures in rounds])
    leads = [_lead(figures) for figures in rounds]
    each = ", ".join(f"{lead:.1f}" for lead in leads)
    where = f"{AIMED_AT.count} queues, {AIMED_AT.pool}"
    lines = [
        f"| {where} | aim | | |",
        *_AIM[1:],
        aim(
            f"start, the fastest peer's by ours (rounds: {each})",
            Quantity(median(leads), "times"),
            Side.AT_LEAST,
            FASTER,
        ),
        aim("memory a queue, once it has worked", Quantity(own.worked, "MB"), Side.AT_MOST, LEANEST),
        aim("kill -9 to consuming", Quantity(median(own.recoveries), "s"), Side.AT_MOST, RECOVERED),
    ]
    yield from _section("Aims", lines)


def _lead(figures: dict[str, Figures]) -> float:
    """Return how many times faster than under the fastest peer all queues consume under the agent."""
    return min(each.ready for name, each in figures.items() if name != Agent.name) / figures[Agent.name].ready


def _throughput(broker: RabbitMQ) -> Iterator[str]:
    rows: dict[str, list[Quantity]] = {Agent.name: [], Stock.name: []}
    for prefetch in throughput.PREFETCHES:
        for kind in (Agent, Stock):
            _say(f"{throughput.TASKS} tasks, prefetch {prefetch}: {kind.name}")
            burst = throughput.run_burst(kind, prefetch, broker)
            rows[kind.name] += [Quantity(burst.rate, "/s"), Quantity(burst.cpu, "ms")]
    headings = [each for prefetch in throughput.PREFETCHES for each in (f"prefetch {prefetch}", "CPU a task")]
    yield from _section(f"{throughput.TASKS:,} no-op tasks, one solo worker, late ack", table(headings, rows))


def _stops(broker: RabbitMQ) -> Iterator[str]:
    rows: dict[str, list[Quantity]] = {Agent.name: [], Stock.name: []}
    for pool in POOLS:
        took: dict[str, list[float]] = {name: [] for name in rows}
        for _ in range(STOPS):
            for kind in (Agent, Stock):
                _say(f"SIGTERM, {pool}: {kind.name}")
                took[kind.name].append(stops.seconds_to_stop(kind, pool, broker))
        for name, each in took.items():
            rows[name] += [Quantity(median(each), "s"), Quantity(max(each), "s")]
    headings = [f"{pool}{which}" for pool in POOLS for which in ("", ", longest")]
    title = f"SIGTERM of {stops.QUEUES} idle queues until all is gone, median and longest of {STOPS}"
    yield from _section(title, table(headings, rows))


def _idling(broker: RabbitMQ) -> Iterator[str]:
    kinds: tuple[type[Contender], ...] = (Agent, Circus, Supervisord, Stock)
    _say(f"idling for {idling.WATCHED:g} s")
    rows = {
        kind.name: (
            Quantity(each.own_cpu, "ms"),
            Quantity(each.own_wakeups, "times"),
            Quantity(each.worker_cpu, "ms"),
            Quantity(each.worker_wakeups, "times"),
        )
        for kind, each in zip(kinds, idling.watch(kinds, broker), strict=True)
    }
    headings = ("supervisor's CPU", "woken", "CPU a worker", "woken")
    yield from _section(f"A minute of doing nothing, {idling.QUEUES} queues, pool solo", table(headings, rows))


def answered(broker: RabbitMQ) -> Iterator[str]:
    """Return the lines on who is asked what runs."""
    _say(f"{answers.QUEUES} queues, asked {answers.ASKED} times")
    found = answers.ask(broker)
    headings = ("until it has ended", "longest", "CPU", "said to be well")
    up, down = ({name: _answer(each[which]) for name, each in found.items()} for which in (0, 1))
    own = Quantity(median(found[answers.OWN][0].seconds) * 1000, "ms")
    yield from _section(
        f"Asking what runs, {answers.QUEUES} queues, pool solo",
        [
            *(*_AIM, aim(f"`{answers.OWN}`, from shell to exit", own, Side.AT_MOST, ANSWERED), ""),
            *("All queues are well:", "", *table(headings, up), ""),
            *("The broker is down, and no queue is well:", "", *table(headings, down)),
        ],
    )


def _answer(each: answers.Answered) -> tuple[Quantity, ...]:
    seconds = (median(each.seconds), max(each.seconds), each.cpu)
    return (*(Quantity(value * 1000, "ms") for value in seconds), Quantity(each.well / answers.QUEUES * 100, "%"))


def watched(broker: RabbitMQ) -> Iterator[str]:
    """Return the lines on what it costs that metrics are scraped, and that the broker is asked what waits."""
    _say(f"{scrapes.QUEUES} queues, scraped {scrapes.SCRAPES} times; then a minute of the watcher")
    found = scrapes.measure(broker)
    lines = [
        *_AIM,
        aim("a scrape, of the daemon", Quantity(found.daemon, "ms"), Side.AT_MOST, SCRAPED),
        aim(
            f"the watcher in a minute, {idling.QUEUES} idle queues",
            Quantity(found.watcher, "ms"),
            Side.AT_MOST,
            WATCHING,
        ),
    ]
    values = {
        "CPU of the daemon": Quantity(found.daemon, "ms"),
        "of the process that measures": Quantity(found.sampler, "ms"),
        "of the listener": Quantity(found.listener, "ms"),
        "answer after": Quantity(found.seconds * 1000, "ms"),
        "its size": Quantity(found.size / 1000, "kB"),
    }
    title = f"A scrape of {scrapes.QUEUES} queues every {scrapes.INTERVAL:g} s, pool solo"
    yield from _section(title, [*lines, "", *table(tuple(values), {Agent.name: tuple(values.values())})])


def _section(title: str, lines: Sequence[str]) -> Iterator[str]:
    yield from (f"### {title}", "", *lines, "")


def _say(what: str) -> None:
    print(f"bench: {what}", file=sys.stderr, flush=True)


ALONE = {"answers": answered, "scrapes": watched}
