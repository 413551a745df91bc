"""A status as text for a terminal."""

from __future__ import annotations

import time

from agent.cli import timetable
from agent.cli.plain import plain
from agent.cli.table import fit, table
from agent.decide.limits import CONTROLLERS, Enforcement
from agent.decide.status import OWN, BrokerStatus, CertificateStatus, QueueStatus, Status
from agent.guest.scoreboard import REFUSED

HEADINGS = (
    *("QUEUE", "HEALTH", "PID", "WAITING", "RUNNING", "DONE", "FAILED"),
    *("IN/s", "OUT/s", "OLDEST", "RESTARTS", "MEMORY", "CPU"),
)
RIGHT = {"PID", "WAITING", "DONE", "FAILED", "IN/s", "OUT/s", "OLDEST", "RESTARTS", "MEMORY", "CPU"}
# Columns that go on a narrow terminal, in this order.
DISPENSABLE = ("CPU", "MEMORY", "IN/s", "OUT/s", "RESTARTS", "PID", "OLDEST")
INDENT = "  "
SOON = 14 * 86_400.0  # seconds before a certificate runs out: as the alert CeleryCertificateExpires has it


def render(status: Status, width: int | None = None) -> str:
    """Return a status as lines: the instance, then one row per queue, then what needs a look.

    width: characters that a row may have; None: as many as it takes.
    """
    own = "" if status.memory is None else f", {_bytes(status.memory)}"
    state = "" if status.summary.startswith(status.state) else f"{status.state}, "
    lines = [
        f"{status.instance}: {state}{status.summary}",
        f"  agent {status.version}, pid {status.pid}, up {duration(status.uptime)}{own}",
        f"  broker {status.broker}",
    ]
    lines += [f"  not reached: {each.broker}: {each.reason}: {each.text}; another broker is" for each in _away(status)]
    if status.app:
        lines.append(f"  app {status.app} as its project made it: what it promises about tasks is its own")
    lines.append(f"  {_enforcement(status.enforcement)}")
    if status.reload_error is not None:
        lines.append(f"  last reload refused: {status.reload_error}")
    if status.unkept:
        lines.append(f"  {status.unkept}")
    if status.queues:
        rows = [HEADINGS, *(_row(queue) for queue in status.queues)]
        fitted = rows if width is None else fit(rows, width - len(INDENT), DISPENSABLE)
        lines += ["", *(INDENT + line for line in table(fitted, RIGHT))]
    if status.schedule is not None:
        periodic = [timetable.heading(status.schedule), *timetable.rows(status.schedule)]
        lines += ["", *(INDENT + line for line in periodic)]
    notes = [*_expiring(status), *_unseen(status), *(note for queue in status.queues for note in _notes(queue))]
    notes += [_dead(status.instance, queue) for queue in status.queues if queue.dead]
    return "\n".join(map(plain, [*lines, *([""] if notes else []), *("  " + note for note in notes)]))


def duration(seconds: float) -> str:
    """Return seconds in the largest unit and the next smaller one."""
    if seconds < 10:
        return f"{seconds:.1f} s"
    whole = int(seconds)
    for size, unit, smaller, small_unit in ((86_400, "d", 3_600, "h"), (3_600, "h", 60, "min"), (60, "min", 1, "s")):
        if whole >= size:
            return f"{whole // size} {unit} {whole % size // smaller} {small_unit}"
    return f"{whole} s"


def _row(queue: QueueStatus) -> tuple[str, ...]:
    oldest = f" (oldest {duration(queue.active[0].age)})" if queue.active else ""
    return (
        queue.queue,
        _health(queue),
        "-" if queue.pid is None else str(queue.pid),
        "-" if queue.waiting is None else str(queue.waiting),
        f"{queue.active_count}/{queue.concurrency}{oldest}",
        str(queue.succeeded),
        str(queue.failed),
        _rate(queue.rate_in),
        _rate(queue.rate_out),
        "-" if queue.oldest is None else duration(queue.oldest),
        str(queue.restarts),
        "-" if queue.memory is None else _bytes(queue.memory),
        "-" if queue.cpu is None else f"{queue.cpu:.1f} s",
    )


def _health(queue: QueueStatus) -> str:
    if queue.health:
        return queue.health.replace("_", " ")
    return _state(queue)


def _state(queue: QueueStatus) -> str:
    """Return the same of an agent that says nothing of it."""
    if queue.unresponsive is not None:
        return "unresponsive"
    if queue.state == "consuming" and queue.obstacle is not None:
        return "held up"
    return queue.state_in_words


def _rate(value: float | None) -> str:
    return "-" if value is None else f"{value:.1f}" if value < 100 else f"{value:.0f}"


def _away(status: Status) -> list[BrokerStatus]:
    """Return the brokers that can't be reached, where another one is; where none is the queues say why."""
    failing = [each for each in status.brokers if each.reason]
    return [] if len(failing) == len(status.brokers) else failing


def _unseen(status: Status) -> list[str]:
    """Return why it is not known what waits; what several queues have in common is said once."""
    if status.watcher:
        return [f"what waits is not known: {status.watcher}"]
    queues: dict[str, list[str]] = {}
    for queue in status.queues:
        if queue.unseen:
            queues.setdefault(queue.unseen, []).append(queue.queue)
    named = {why: names[0] if len(names) == 1 else f"{len(names)} queues" for why, names in queues.items()}
    return [f"{which}: what waits is not known: {why}" for why, which in named.items()]


def _expiring(status: Status) -> list[str]:
    """Return which certificates are over or run out soon; our own is the same at each broker, and said once."""
    now = time.time()
    ending = [each for each in status.certificates if each.expires - now < SOON]
    return list(dict.fromkeys(f"{_whose(each)} {_end(each.expires - now)}" for each in ending))


def _whose(certificate: CertificateStatus) -> str:
    return "our own certificate" if certificate.whose == OWN else f"the certificate of {certificate.broker}"


def _end(left: float) -> str:
    return f"runs out in {duration(left)}" if left > 0 else f"ran out {duration(-left)} ago"


def _dead(instance: str, queue: QueueStatus) -> str:
    """Return how many tasks of a queue could not be done, and which command tells of them."""
    count = "1 dead letter" if queue.dead == 1 else f"{queue.dead} dead letters"
    return f"{queue.queue}: {count}: agent dead-letters {instance}"


def _not_started(reason: str) -> str:
    return f"could not be started: {reason}" if reason else "could not be started"


def _notes(queue: QueueStatus) -> list[str]:
    notes = []
    why = queue.last_exit if queue.not_started is None else _not_started(queue.not_started)
    if queue.retry_in is not None:
        notes.append(f"{queue.queue}: {why or _not_started('')}, next try in {duration(max(0.0, queue.retry_in))}")
    elif queue.not_started is not None:
        notes.append(f"{queue.queue}: {why}, trying again")
    elif queue.last_exit is not None:
        notes.append(f"{queue.queue}: last ended unasked: {queue.last_exit}")
    if queue.recycled:
        notes.append(f"{queue.queue}: {queue.recycled} time(s) replaced, since it held more than MEMORY_SOFT")
    if queue.unenforced:
        notes.append(f"{queue.queue}: nothing enforces {', '.join(queue.unenforced)} here")
    if not queue.wanted:
        notes.append(f"{queue.queue}: finishes its tasks and goes")
    if queue.cause and queue.retry_in is None:  # of a back-off the first note says it
        notes.append(f"{queue.queue}: {queue.health.replace('_', ' ')} for {duration(queue.health_age)}: {queue.cause}")
    if queue.unresponsive is not None:
        notes.append(f"{queue.queue}: its worker has been silent for {duration(queue.unresponsive)}")
    if queue.obstacle is not None and queue.obstacle.removeprefix(REFUSED) not in queue.cause:
        notes.append(f"{queue.queue}: runs nothing: {queue.obstacle}")
    notes += _losses(queue)
    if queue.clock:
        notes.append(f"{queue.queue}: {queue.clock}")
    if queue.replacement is not None:
        notes.append(f"{queue.queue}: replacement is {queue.replacement}")
    if queue.draining:
        notes.append(f"{queue.queue}: {queue.draining} former worker(s) finishing tasks")
    return notes


def _losses(queue: QueueStatus) -> list[str]:
    if queue.losing is not None:
        return [f"{queue.queue}: runs its tasks, but their results are lost: {queue.losing}"]
    lost = queue.results_lost
    return [f"{queue.queue}: {lost} result(s) were lost; the log names the tasks"] if lost else []


def _enforcement(enforcement: Enforcement) -> str:
    """Return the line that says what enforces limits here."""
    controllers = [name for name in CONTROLLERS if name in enforcement.by_cgroup()]
    if not controllers:
        return f"limits by process, not by cgroup: {enforcement.reason}"
    missing = "" if enforcement.reason is None else f" ({enforcement.reason})"
    return f"limits by cgroup: {', '.join(controllers)}{missing}"


def _bytes(count: int) -> str:
    return f"{count / 1_048_576:.1f} MiB"
