"""The rows of a status: what is told of each queue.

Of a row most lasts until something happens to its queue. A node may have a hundred of them, and is asked every few seconds: so
the text of what lasts is kept, and made anew when a value has changed that it is made of.

    lasts     what the queue and its worker are, what they have counted, what the broker says
    passes    how long that is so, the tasks that run, what the processes use
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from agent.decide.backlog import Backlog
from agent.decide.counts import NOTHING, Counts
from agent.decide.endings import ending_text
from agent.decide.health import SILENCE, Health, Verdict
from agent.decide.limits import Enforcement, unenforced
from agent.decide.node import Node, Queue
from agent.decide.plan import Way
from agent.decide.status import TaskStatus
from agent.decide.status_json import text_of
from agent.decide.view import View
from agent.decide.words import State, Word
from agent.decide.worker_state import Worker
from agent.guest.scoreboard import Pulse
from agent.guest.values import dataclass

UNHEARD = "code in its worker has closed its socket to the agent; another is started once its tasks have ended"
UNKNOWN = Way("", "", "")
SAID = slice(
    Pulse._fields.index("active_count"), Pulse._fields.index("leads")
)  # what of a pulse lasts, and belongs to a queue


class Sample(NamedTuple):
    """What the kernel says of a worker's processes: bytes of memory (PSS) and seconds of CPU, pool children included."""

    memory: int
    cpu: float
    processes: int


@dataclass(frozen=True, slots=True)
class Told:
    """The rows of all queues as JSON, by their names; held_up: how many are consumed from by a worker that runs nothing."""

    texts: tuple[str, ...]
    held_up: int


class Rows:
    """Makes rows, and keeps of each what lasts: the values that it was made of, its text, and whether it consumes."""

    def __init__(self) -> None:
        """Have made none."""
        self._kept: dict[str, tuple[tuple[Any, ...], str, bool]] = {}

    def of(
        self,
        node: Node,
        pulses: Mapping[int, Pulse],
        seen: View,
        samples: Mapping[int, Sample],
        enforcement: Enforcement,
        now: float,
    ) -> Told:
        """Return the rows of a node; pulses and samples by pid, seen: what is known of the brokers."""
        ways = {} if node.plan is None else {each.queue: each for each in node.plan.ways}
        kept, self._kept = self._kept, {}
        texts, held_up = [], 0
        for name, queue in sorted(node.queues.items()):
            worker, health = queue.current, node.health.get(name)
            pid = worker.pid or 0
            pulse = pulses.get(pid) or Pulse(at=now)
            silent = _unresponsive(worker, pulse, now)
            verdict = None if health is None else health.verdict
            others = [told[SAID] for each in queue.others() if (told := pulses.get(each.pid or 0)) is not None]
            known = (ways.get(name, UNKNOWN), seen.backlog(name), node.counts.get(name, NOTHING), verdict, enforcement)
            values: tuple[Any, ...] = (name, queue, *known, silent is None, pulse[SAID], others)
            before, text, consuming = kept.get(name, ((), "", False))
            if values != before:
                text, consuming = _lasting(*values)
            self._kept[name] = values, text, consuming
            held_up += worker.wanted and worker.state is State.CONSUMING and not consuming
            texts.append(f"{text}, {_passing(worker, health, pulse, samples.get(pid), silent, now)}}}")
        return Told(tuple(texts), held_up)


def _lasting(
    name: str,
    queue: Queue,
    way: Way,
    backlog: Backlog,
    former: Counts,
    verdict: Verdict | None,
    enforcement: Enforcement,
    beats: bool,
    said: tuple[Any, ...],
    by_others: list[tuple[Any, ...]],
) -> tuple[str, bool]:
    """Return what lasts of a row, as JSON without the brace that ends it, and whether the queue is consumed from.

    former: what processes have counted that are gone. beats: whether its worker does. said: what that says (`SAID`),
    by_others: the same of its other workers.
    """
    worker, pulse = queue.current, _pulse(said)
    counts = former.with_those_of((pulse, *map(_pulse, by_others)))
    consuming = beats and _runs_tasks(worker, pulse, verdict)
    fields = {
        "queue": name,
        "wanted": worker.wanted,
        "state": worker.state.value,
        "pid": worker.pid,
        "generation": worker.generation,
        "consuming": consuming,
        "obstacle": pulse.obstacle or (UNHEARD if worker.unheard and worker.state is State.STOPPING else None),
        "losing": pulse.losing or None,
        "clock": pulse.clock,
        "pool": worker.spec.pool,
        "concurrency": worker.spec.concurrency,
        "tasks": worker.spec.tasks,
        "active_count": pulse.active_count,
        "succeeded": counts.succeeded,
        "failed": counts.failed,
        "retried": counts.retried,
        "revoked": counts.revoked,
        "set_aside": counts.set_aside,
        "results_lost": counts.results_lost,
        "restarts": queue.restarts,
        "last_exit": None if queue.last_exit is None else ending_text(queue.last_exit),
        "oom_kills": queue.oom_kills,
        "recycled": queue.recycled,
        "not_started": worker.not_started,
        "limits": worker.spec.limits,
        "unenforced": unenforced(worker.spec.limits, enforcement),
        "replacement": None if queue.successor is None else queue.successor.state.value,
        "draining": len(queue.retiring),
        "waiting": backlog.waiting,
        "consumers": backlog.consumers,
        "rate_in": _rounded(backlog.rate_in),
        "rate_out": _rounded(backlog.rate_out),
        "oldest": _rounded(backlog.oldest),
        "unseen": backlog.unseen,
        "exchange": way.exchange,
        "dead_letters": way.dead_letters,
        "dead": backlog.dead,
        "health": "" if verdict is None else verdict.word.value,
        "cause": "" if verdict is None else verdict.cause,
    }
    return text_of(fields)[:-1], consuming


def _passing(
    worker: Worker, health: Health | None, pulse: Pulse, sample: Sample | None, silent: float | None, now: float
) -> str:
    """Return the other fields of it, as JSON without its braces: by hand, since each answer has them anew."""
    until = worker.deadline if worker.state is State.BACKOFF else None
    active = [TaskStatus(each.id, each.name, round(now - each.started, 3), each.again) for each in pulse.active]
    memory, cpu, processes = ("null", "null", 0) if sample is None else sample
    return (
        f'"unresponsive": {"null" if silent is None else silent}, "age": {round(now - worker.since, 3)}, '
        f'"active": {text_of(active) if active else "[]"}, "lag": {pulse.lag}, '
        f'"retry_in": {"null" if until is None else round(until - now, 3)}, '
        f'"health_age": {0.0 if health is None else round(now - health.since, 3)}, '
        f'"memory": {memory}, "cpu": {cpu}, "processes": {processes}'
    )


def _pulse(said: tuple[Any, ...]) -> Pulse:
    return Pulse(at=0.0, **dict(zip(Pulse._fields[SAID], said, strict=True)))


def _runs_tasks(worker: Worker, pulse: Pulse, verdict: Verdict | None) -> bool:
    """Say whether a worker that is not silent has its consumer, and nothing keeps it from running tasks."""
    is_well = verdict is None or verdict.word not in (Word.HUNG, Word.DEAF)
    return worker.state is State.CONSUMING and not pulse.obstacle and is_well


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 3)


def _unresponsive(worker: Worker, pulse: Pulse, now: float) -> float | None:
    """Return how long a worker that should be beating has been silent, if too long.

    While it reaches for the broker a worker may block in the attempt; and the solo pool runs its tasks in the very loop
    that beats, so silence during a task says nothing.
    """
    if worker.state is not State.CONSUMING or (worker.spec.pool == "solo" and pulse.active):
        return None
    silent = now - pulse.at
    return round(silent, 3) if silent > SILENCE else None
