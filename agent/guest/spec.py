"""What a template and a worker are started with, as frozen values.

Shared by the daemon, which decides, and by the processes that run user code, which obey.
"""

from __future__ import annotations

from .values import dataclass


@dataclass(frozen=True, slots=True)
class TemplateSpec:
    """What the template process is started with.

    python: the interpreter that imports user code (CELERY_AGENT_PYTHON).
    path: folders put in front of `sys.path` (CELERY_AGENT_PATH).
    preload: modules imported once, before any fork (CELERY_AGENT_PRELOAD).
    celery_config: the module with Celery's settings, beside which contracts are (CELERY_AGENT_CELERY_CONFIG); empty where there
        are no task classes.
    app: the Celery app to host as it is, as `celery -A` has it (CELERY_AGENT_APP); empty where there is none.
    environment: variables for user code, as sorted (name, value) pairs; they may hold secrets.
    schedule: the periodic tasks to send, as CELERY_AGENT_SCHEDULE names them; empty for none.
    edition: of the code, where a change of it alone is to be taken up by a reload; empty where it is not.
    """

    python: str
    path: tuple[str, ...] = ()
    preload: tuple[str, ...] = ()
    celery_config: str = "celery_tasks.celery_config"
    app: str = ""
    environment: tuple[tuple[str, str], ...] = ()
    schedule: str = ""
    edition: str = ""


@dataclass(frozen=True, slots=True)
class Source:
    """A module of a project: its file, when that was modified (nanoseconds since 1970), and its size in bytes."""

    name: str
    file: str
    modified: int
    size: int


@dataclass(frozen=True, slots=True)
class Limits:
    """What the processes of one worker may take together; None: as much as there is.

    memory_max: bytes above which the kernel kills one of them; memory_high: bytes above which it slows them down.
    cpu_weight: their share of CPU time beside the other queues', 100 for each that has none of its own.
    pids_max: processes and threads.
    """

    memory_max: int | None = None
    memory_high: int | None = None
    cpu_weight: int | None = None
    pids_max: int | None = None


@dataclass(frozen=True, slots=True)
class ScheduleSpec:
    """What a process sends that is no worker, but sends periodic tasks.

    entries: as CELERY_AGENT_SCHEDULE names them.
    sender: the task class, as "module:Class", by whose app they are sent; empty where that is the project's own.
    app: that one, as `celery -A` has it.
    """

    entries: str
    sender: str
    app: str


@dataclass(frozen=True, slots=True)
class WatchedApp:
    """Queues that are watched with the broker settings of one app: that of a project, or of the settings module where empty.

    dead_letters: of each of the queues what the broker calls its dead-letter queue; empty where it has none.
    """

    app: str
    queues: tuple[str, ...]
    dead_letters: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class WatchSpec:
    """What a process asks the brokers that is no worker, but watches queues."""

    apps: tuple[WatchedApp, ...]


@dataclass(frozen=True, slots=True)
class WorkerSpec:
    """One Celery worker for one queue.

    app: the app that it runs as it is; empty where it runs task classes. Decorated tasks that are named one by one are here,
        with commas between them, behind the app that is hosted beside them: see `projects.serving`.
    tasks: the task classes it serves, as "module:Class"; of an app the names of the tasks whose route leads to the queue.
    pool: "prefork", "threads" or "solo".
    concurrency: tasks at a time.
    prefetch: messages fetched ahead per slot of concurrency (Celery's worker_prefetch_multiplier); None: what the app says.
    time_limit, soft_time_limit: seconds for one task, the latter prefork only; None: what the settings say.
    max_tasks_per_child: tasks after which a pool child is replaced, prefork only; None: what the settings say.
    max_memory_per_child: MiB of resident memory after which a pool child is replaced, likewise.
    memory_soft: MiB that its processes may hold together, above which it is replaced; None for as many as there are.
    max_deaths: times that a task's process may end before the task is set aside.
    log_level: of Celery's and the tasks' loggers.
    start_timeout: seconds from the fork request to the first report, and for a pool child until it takes tasks.
    warm_timeout, cold_timeout: seconds a warm, then a cold shutdown may take before the next, harder step.
    hung_timeout: seconds for which it may be hung or deaf before it is replaced; None: it is not.
    limits: what the kernel holds it to.
    failed: what becomes of a task that raised: "drop", it is done, or KEEP.
    schedule: what it sends where it is no worker, and the queue is the right to send; see `agent.guest.schedule`.
    watch: what it asks the brokers where it is no worker, and the queue only a name; see `agent.guest.work.watcher`.
    """

    queue: str
    tasks: tuple[str, ...]
    pool: str
    concurrency: int
    prefetch: int | None
    time_limit: float | None
    soft_time_limit: float | None
    max_tasks_per_child: int | None
    max_memory_per_child: int | None
    max_deaths: int
    log_level: str
    start_timeout: float
    warm_timeout: float
    cold_timeout: float
    limits: Limits = Limits()
    app: str = ""
    failed: str = "drop"
    memory_soft: int | None = None
    schedule: ScheduleSpec | None = None
    hung_timeout: float | None = None
    watch: WatchSpec | None = None


def lease_of(instance: str) -> str:
    """Return the queue that is the right to send the periodic tasks of all instances of a name."""
    return f"{instance}.schedule"


def watcher_of(instance: str) -> str:
    """Return the name of the process that watches the queues of an instance, beside which no queue may have it."""
    return f"{instance}.watcher"


OF_APP = "app"  # CELERY_AGENT_SCHEDULE where the entries are the app's own
KEEP = "keep"  # what is done with tasks that failed: they become dead letters
FORCED = "+"  # before a queue of CELERY_AGENT_CONSUME to which nothing leads, and which is meant all the same

AND = ","  # between what a worker finds its app by

# What a worker's process never sees, because the agent and the kernel enforce it: it can change while the worker lives on.
ADJUSTABLE = ("limits", "warm_timeout", "cold_timeout", "hung_timeout")
