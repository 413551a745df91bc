"""A status as text for a terminal."""

from __future__ import annotations

from agent.cli import timetable
from agent.cli.plain import plain
from agent.cli.table import fit, table
from agent.decide.limits import CONTROLLERS, Enforcement
from agent.decide.status import QueueStatus, Status

HEADINGS = ("QUEUE", "STATE", "PID", "RUNNING", "DONE", "FAILED", "RESTARTS", "MEMORY", "CPU")
RIGHT = {"PID", "DONE", "FAILED", "RESTARTS", "MEMORY", "CPU"}
DISPENSABLE = ("CPU", "MEMORY", "RESTARTS", "PID")  # columns that go on a narrow terminal, in this order
INDENT = "  "


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
    if status.app:
        lines.append(f"  app {status.app} as its project made it: what it promises about tasks is its own")
    lines.append(f"  {_enforcement(status.enforcement)}")
    if status.reload_error is not None:
        lines.append(f"  last reload refused: {status.reload_error}")
    if status.queues:
        rows = [HEADINGS, *(_row(queue) for queue in status.queues)]
        fitted = rows if width is None else fit(rows, width - len(INDENT), DISPENSABLE)
        lines += ["", *(INDENT + line for line in table(fitted, RIGHT))]
    if status.schedule is not None:
        periodic = [timetable.heading(status.schedule), *timetable.rows(status.schedule)]
        lines += ["", *(INDENT + line for line in periodic)]
    notes = [note for queue in status.queues for note in _notes(queue)]
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
        _state(queue),
        "-" if queue.pid is None else str(queue.pid),
        f"{queue.active_count}/{queue.concurrency}{oldest}",
        str(queue.succeeded),
        str(queue.failed),
        str(queue.restarts),
        "-" if queue.memory is None else _bytes(queue.memory),
        "-" if queue.cpu is None else f"{queue.cpu:.1f} s",
    )


def _state(queue: QueueStatus) -> str:
    if queue.unresponsive is not None:
        return "unresponsive"
    if queue.state == "consuming" and queue.obstacle is not None:
        return "held up"
    return queue.state_in_words


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
    if queue.unenforced:
        notes.append(f"{queue.queue}: nothing enforces {', '.join(queue.unenforced)} here")
    if not queue.wanted:
        notes.append(f"{queue.queue}: finishes its tasks and goes")
    if queue.unresponsive is not None:
        notes.append(f"{queue.queue}: its worker has been silent for {duration(queue.unresponsive)}")
    if queue.obstacle is not None:
        notes.append(f"{queue.queue}: runs nothing: {queue.obstacle}")
    if queue.losing is not None:
        notes.append(f"{queue.queue}: runs its tasks, but their results are lost: {queue.losing}")
    if queue.replacement is not None:
        notes.append(f"{queue.queue}: replacement is {queue.replacement}")
    if queue.draining:
        notes.append(f"{queue.queue}: {queue.draining} former worker(s) finishing tasks")
    return notes


def _enforcement(enforcement: Enforcement) -> str:
    """Return the line that says what enforces limits here."""
    controllers = [name for name in CONTROLLERS if name in enforcement.by_cgroup()]
    if not controllers:
        return f"limits by process, not by cgroup: {enforcement.reason}"
    missing = "" if enforcement.reason is None else f" ({enforcement.reason})"
    return f"limits by cgroup: {', '.join(controllers)}{missing}"


def _bytes(count: int) -> str:
    return f"{count / 1_048_576:.1f} MiB"
