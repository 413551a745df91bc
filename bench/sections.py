"""The sections of the report: each measures its contenders and says what came of it.

Contenders take turns within each round, so that what else happens on the machine hits all of them alike.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from statistics import median

from bench import idling, stops, throughput
from bench.contenders import SUPERVISORS, Agent, Circus, Contender, Stock, Supervisord
from bench.report import Quantity, Side, aim, table
from bench.starts import TASKS, Figures, measure, typical
from bench.workload import POOLS
from tests.rabbitmq import RabbitMQ

FASTER = 4.0  # times, than the fastest peer
LEANEST = 14.0  # MB a queue
RECOVERED = 0.2  # seconds
STOPS = 3  # of each contender in each pool

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
        "|---|---|---|---|",
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


def _section(title: str, lines: Sequence[str]) -> Iterator[str]:
    yield from (f"### {title}", "", *lines, "")


def _say(what: str) -> None:
    print(f"bench: {what}", file=sys.stderr, flush=True)
