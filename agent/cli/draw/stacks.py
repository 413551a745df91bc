"""The statuses of instances as one graph: by broker, exchange and queue, whichever nodes and instances serve them.

Instances that use one broker meet in its queues. A broker that is a node's own, embedded or at a loopback address, is
another one on each node.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from urllib.parse import urlsplit

from agent.cli.draw import words
from agent.cli.draw.model import Absent, Box, Exchange, Graph, Pool, Queue, Stack, Strand
from agent.cli.draw.words import SEPARATOR
from agent.cli.plain import plain
from agent.decide.status import QueueStatus, Status
from agent.guest.values import dataclass

PRODUCERS = "producers"
MOST_TASKS = 3  # names in one box


@dataclass(frozen=True, slots=True)
class Sight:
    """What is known of one instance: its status, or in a word why there is none.

    node: what to call the machine; empty where all are of one.
    """

    node: str
    instance: str
    state: str
    status: Status | None = None

    @property
    def name(self) -> str:
        """What to call the instance."""
        return f"{self.instance} on {self.node}" if self.node else self.instance


def graph_of(sights: Iterable[Sight]) -> Graph:
    """Return the graph of some instances; the order of these does not matter."""
    by_broker: dict[tuple[str, str], list[Sight]] = {}
    for sight in sorted(sights, key=lambda each: (each.node, each.instance)):
        by_broker.setdefault(_broker(sight), []).append(sight)
    known = sorted(key for key in by_broker if key[0])
    return Graph(tuple(_stack(key, by_broker[key]) for key in [*known, *(key for key in by_broker if not key[0])]))


def _broker(sight: Sight) -> tuple[str, str]:
    """Return what a broker is called, without its users, and the node that it is the own one of."""
    if sight.status is None or not sight.status.broker:
        return "", ""
    hosts = []
    for url in sight.status.broker.split(";"):
        scheme, slashes, rest = url.partition("://")
        authority, slash, path = rest.partition("/")
        hosts.append(f"{scheme}{slashes}{authority.rpartition('@')[2]}{slash}{path}")
    is_own = sight.status.embedded or any(map(_is_loopback, hosts))
    return ";".join(hosts), sight.node if is_own else ""


def _is_loopback(url: str) -> bool:
    try:
        host = urlsplit(url).hostname or ""
    except ValueError:
        return False
    return host in ("localhost", "::1") or host.startswith("127.")


def _stack(key: tuple[str, str], sights: Sequence[Sight]) -> Stack:
    name, node = key
    seen = [(sight, sight.status, queue) for sight in sights if sight.status for queue in sight.status.queues]
    served = [(sight, queue) for sight, status, queue in seen if not _is_right(status, queue)]
    exchanges: dict[tuple[str, str], dict[str, list[tuple[Sight, QueueStatus]]]] = {}
    for sight, queue in sorted(served, key=lambda each: (each[1].exchange or each[1].queue, each[1].queue)):
        by_itself = "" if queue.exchange else queue.queue  # where no exchange is known to lead to it
        exchanges.setdefault((queue.exchange, by_itself), {}).setdefault(queue.queue, []).append((sight, queue))
    drawn = {id(sight) for sight, _ in served}
    notes = [f"of {node}"] if node else []
    if any(sight.status and sight.status.embedded for sight in sights):
        notes.append("embedded broker: for trying out, tasks can be lost")
    return Stack(
        name=plain(name),
        notes=tuple(map(plain, notes)),
        sources=(Box(PRODUCERS), *_schedules(sights)) if served else (),
        exchanges=tuple(_exchange(queues) for queues in exchanges.values()),
        absent=tuple(_absent(sight) for sight in sights if id(sight) not in drawn),
    )


def _is_right(status: Status, queue: QueueStatus) -> bool:
    """Say whether a queue is the right to send periodic tasks: that process is no worker, but a source."""
    return status.schedule is not None and status.schedule.queue == queue.queue


def _schedules(sights: Iterable[Sight]) -> Iterable[Box]:
    for sight in sights:
        if sight.status is None or sight.status.schedule is None:
            continue
        schedule = sight.status.schedule
        process = next((each for each in sight.status.queues if each.queue == schedule.queue), None)
        if schedule.leads:
            lines = [words.count(schedule.count, "entry", "entries")]
        elif process is not None and process.consuming:
            lines = ["another node sends"]
        else:
            lines = [words.state_of(process).word if process is not None else "sends nothing"]
        entries = ", ".join(each.entry for each in schedule.entries)
        more = f"schedule {schedule.source} of {sight.name}" + (f": {entries}" if entries else "")
        yield Box("schedule", tuple(map(plain, [*lines, sight.name])), plain(more))


def _absent(sight: Sight) -> Absent:
    status = sight.status
    word = sight.state if status is None else status.state
    return Absent(Box(plain(sight.name), () if status is None else (plain(status.summary),)), words.mark(word))


def _exchange(queues: dict[str, list[tuple[Sight, QueueStatus]]]) -> Exchange:
    first = next(iter(queues.values()))[0][1]
    box = Box(plain(first.exchange)) if first.exchange else None
    return Exchange(box, tuple(_queue(served) for served in queues.values()))


def _queue(served: Sequence[tuple[Sight, QueueStatus]]) -> Queue:
    """Return a queue that all of its workers' statuses speak of: what one of them knows of it is so for all."""
    told = [queue for _, queue in served if not queue.unseen]
    first = served[0][1]

    def known(field: str) -> float | None:
        return next((value for each in told if (value := getattr(each, field)) is not None), None)

    waiting = next((queue.waiting for queue in told if queue.waiting is not None), None)
    consumers = next((queue.consumers for queue in told if queue.consumers is not None), None)
    lines = words.backlog(waiting, known("oldest"), consumers, sum(queue.consuming for _, queue in served))
    dead = next((queue.dead_letters for _, queue in served if queue.dead_letters), "")
    unseen = next((queue.unseen for _, queue in served if queue.unseen), "")
    name = plain(first.queue)
    return Queue(
        Box(name, lines, SEPARATOR.join([name, *lines, *([plain(unseen)] if unseen and not told else [])])),
        rate_in=words.rate(known("rate_in")),
        rate_out=words.rate(known("rate_out")),
        dead=Box(plain(dead)) if dead else None,
        strands=tuple(_strand(sight, queue) for sight, queue in served),
    )


def _strand(sight: Sight, queue: QueueStatus) -> Strand:
    process = "no process" if queue.pid is None else f"pid {queue.pid}"
    facts = [process, *([f"gen {queue.generation}"] if queue.generation else [])]
    changes = [words.count(queue.restarts, "restart")] if queue.restarts else []
    if queue.draining:
        changes.append(f"{queue.draining} draining")
    if queue.replacement is not None:
        changes.append(f"replacement {queue.replacement}")
    name, mark = plain(sight.name), words.state_of(queue)
    lines = tuple(plain(SEPARATOR.join(each)) for each in (facts, changes) if each)
    return Strand(
        worker=Box(name, lines, SEPARATOR.join([f"worker of {plain(queue.queue)}", name, mark.word, *lines])),
        mark=mark,
        takes=queue.consuming,
        pool=_pool(queue),
        tasks=_tasks(queue.tasks),
        cause=plain(words.cause_of(queue)),
    )


def _pool(queue: QueueStatus) -> Pool:
    name = plain(queue.pool) if queue.concurrency == 1 else f"{plain(queue.pool)} × {queue.concurrency}"
    busy = f"{queue.active_count:,} busy" if queue.active_count else "idle"
    running = ", ".join(f"{each.name} ({each.id})" for each in queue.active)
    more = plain(f"{name}, {busy}" + (f": {running}" if running else ""))
    is_there = queue.pid is not None
    return Pool(Box(name, (busy,) if is_there else (), more), max(0, queue.concurrency), queue.active_count, is_there)


def _tasks(names: Sequence[str]) -> Box | None:
    if not names:
        return None
    shown = [plain(words.short_name(each)) for each in names]
    lines = (
        shown[1:] if len(shown) <= MOST_TASKS else [*shown[1 : MOST_TASKS - 1], f"+ {len(shown) - MOST_TASKS + 1} more"]
    )
    return Box(shown[0], tuple(lines), ", ".join(map(plain, names)))
