"""The settings of an instance: what each is, its unit, and why its default is what it is.

The text under each field is its documentation everywhere: `docs/settings.md`, the example env file and `agent config`
are made from it. Values come from an env file's text alone, never from the environment of the process that reads them,
so that an instance is the same whoever looks at it.
"""

from __future__ import annotations

import sys
from enum import StrEnum
from typing import Annotated

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from agent.config.setting_types import (
    App,
    Consumed,
    Folders,
    Interpreter,
    Module,
    Modules,
    Names,
    OptionalCount,
    OptionalSeconds,
    Schedule,
    Seconds,
    TaskClasses,
    upper_case,
)
from agent.guest.spec import KEEP

MOST_PREFETCHED = 65_535  # AMQP's basic.qos holds the count in 16 bits


class Pool(StrEnum):
    """How a worker runs its tasks."""

    PREFORK = "prefork"
    THREADS = "threads"
    SOLO = "solo"


class Failed(StrEnum):
    """What becomes of a task that raised."""

    DROP = "drop"
    KEEP = KEEP


class LogLevel(StrEnum):
    """What a worker's loggers let through."""

    DEBUG = "DEBUG"
    INFO = "INFO"
    WARNING = "WARNING"
    ERROR = "ERROR"
    CRITICAL = "CRITICAL"


class QueueSettings(BaseModel):
    """How the worker of one queue runs."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    pool: Pool = Pool.PREFORK
    """How tasks run: in processes (`prefork`), in threads (`threads`), or one by one in the worker itself (`solo`).
    Processes are Celery's own default, and the only ones in which a limit on a task can be enforced. For many quiet
    queues on one node `solo` takes the least memory."""

    concurrency: int = Field(default=1, ge=1, le=1024)
    """Tasks that run at the same time. One, because only the operator knows what else the node does; `solo` can't do
    more."""

    prefetch: int = Field(default=1, ge=1, le=10_000)
    """Messages fetched ahead for each of them. One spreads long tasks evenly over nodes; 8 to 64 is faster where a task
    takes milliseconds."""

    time_limit: OptionalSeconds = Field(default=None, gt=0, le=31_536_000)
    """Seconds after which a running task's process is killed, and the task given back to the broker; empty for the
    limit of the delivery profile: 25 minutes with `safe`, none with `article`. With `threads` and `solo` nothing can end
    a task but the end of its worker: where this is set, the agent kills that one and starts another. What else it ran is
    given back too, and runs again where its message is acked late; empty means no limit there. Above the broker's
    consumer_timeout (30 minutes, unless it is told otherwise) the broker takes the task away first. A `time_limit` of
    the task class wins over it; one that a task is sent with holds where it is lower."""

    soft_time_limit: OptionalSeconds = Field(default=None, gt=0, le=31_536_000)
    """Seconds after which SoftTimeLimitExceeded is raised in a running task, to let it clean up; empty for no limit.
    `prefork` only, and below TIME_LIMIT. It is an Exception: a task that catches every one of those runs on until
    TIME_LIMIT, which can't be caught."""

    max_tasks_per_child: OptionalCount = Field(default=None, ge=1, le=1_000_000_000)
    """Tasks after which a pool process is replaced by a fresh one; empty for never. `prefork` only. For code that
    leaks."""

    max_memory_per_child: OptionalCount = Field(default=None, ge=1, le=16_777_216)
    """MiB of resident memory after which a pool process is replaced once its task has ended; empty for never. `prefork`
    only. It can't stop a single task that takes too much."""

    max_deaths: int = Field(default=3, ge=1, le=100)
    """Times that the process of a task may end while the task runs, as by os.abort(), a crash of a C library, or for want
    of memory. Then its next delivery is not run: it becomes a dead letter, and its caller gets WorkerLostError with the
    causes. The last of them counts only where the task ran alone. Three, because one may be somebody's hand. A safe queue
    gives no task more than five runs, whatever is said here. docs/delivery.md says what counts."""

    failed: Failed = Failed.DROP
    """What becomes of a task that raised, once it has no retries left: `drop`, it is done; or `keep`, it is a dead letter with
    what was raised, the traceback and its arguments, to be looked at, replayed or thrown away: docs/dead-letters.md. Its
    caller gets the exception either way. `drop`, because nobody looks at what nobody asked for, and it would grow."""

    memory_max: OptionalCount = Field(default=None, ge=16, le=16_777_216)
    """MiB that the queue's processes may hold together, above which the kernel kills one of them; empty for no limit.
    The others of the queue live on, and no other queue is touched. There is none by default, because only the author of
    a task knows. During a reload that replaces the worker, the old and the new one may take as much each. Where no cgroup
    is delegated to the agent, each process is held to it by itself and gets a MemoryError instead."""

    memory_soft: OptionalCount = Field(default=None, ge=16, le=16_777_216)
    """MiB that the queue's processes may hold together, above which its worker is replaced; empty for never. On every pool.
    For code that leaks: a fresh worker starts beside it, and when that one consumes, the old one ends the tasks that it runs,
    and goes. Looked at every few seconds, between tasks where POOL=solo. Resident memory without files; what a process has in
    common with the template counts for each, some 30 MiB. Below MEMORY_MAX, at which the kernel kills."""

    memory_high: OptionalCount = Field(default=None, ge=16, le=16_777_216)
    """MiB above which the queue's processes are slowed down and made to give memory back; empty for never. Below
    MEMORY_MAX. It keeps a queue that grows now and then from being killed for it. Needs a cgroup."""

    cpu_weight: OptionalCount = Field(default=None, ge=1, le=10_000)
    """The queue's share of CPU time where there is not enough for all, in relation to the other queues; empty for 100, as
    every queue has. 50 is half of their share, 200 twice. What others leave over is free for all. Needs a cgroup."""

    pids_max: OptionalCount = Field(default=None, ge=1, le=4_194_304)
    """Processes and threads that the queue may have at a time, those of the worker itself included; empty for no limit.
    Against tasks that start more and more of them. Needs a cgroup."""

    log_level: Annotated[LogLevel, BeforeValidator(upper_case)] = LogLevel.INFO
    """The least severe messages of Celery and the tasks that are logged. INFO has one line for a task's arrival and one
    for its end."""

    start_timeout: Seconds = Field(default=30, gt=0, le=3600)
    """Seconds a worker may take until its tasks are loaded and it reaches for the broker, and each process of its pool
    until it takes tasks; then it is replaced. Well above what a large import takes (seconds)."""

    warm_timeout: Seconds = Field(default=60, gt=0, le=604_800)
    """Seconds that running tasks may take to end when the worker is stopped; then comes the cold shutdown. A minute is
    what a stop can take without anybody wondering: raise it above the longest task that should not be run twice."""

    cold_timeout: Seconds = Field(default=10, gt=0, le=3600)
    """Seconds that a cold shutdown, which gives running tasks back to the broker, may take; then the worker is
    killed."""

    hung_timeout: OptionalSeconds = Field(default=60, gt=0, le=604_800)
    """Seconds for which a worker is `hung` (its main loop does not turn) or `deaf` (it has no consumer, and the broker is
    there) before the agent replaces it; empty for never. It writes first what its threads do. Nothing is replaced
    while the broker is out of reach, and a solo worker is not hung while it runs a task. A minute, because a process that
    waits for a slow disk or was stopped for a look comes back by itself; docs/health.md says what becomes of its tasks."""


class Settings(BaseSettings):
    """What an env file says to the agent."""

    model_config = SettingsConfigDict(
        env_prefix="CELERY_AGENT_",
        env_nested_delimiter="__",
        extra="forbid",
        frozen=True,
        use_attribute_docstrings=True,
    )

    tasks: TaskClasses = ()
    """The task classes to host, as package.module:Class with commas between them. Each gets a queue by its task's name;
    classes that set the same `queue` share one worker. Decorated tasks may be among them, as package.module:task, where all
    tasks are named that their app sends to that queue: docs/apps.md. Empty only where APP names an app, because there is
    nothing to run without either."""

    app: App = ""
    """A Celery app to host as its project made it, as package.module:app, or shorter as `celery -A` finds it. Its own
    settings win in all but what makes a supervised worker, and nothing is promised about its tasks beyond what they say:
    docs/apps.md. Each of its queues gets a worker, beside those of TASKS. Empty, because most hosts of contracts have none."""

    consume: Consumed = ()
    """The queues of APP to consume from, with commas between them. Empty for all of them: its `task_queues`, its default
    queue, and each that its routes give a task to. A queue that tasks are only sent to by name, as with
    `apply_async(queue="adhoc")`, is in none of these: write +adhoc."""

    schedule: Schedule = ""
    """Periodic tasks to send: `app` for the `beat_schedule` of APP, or for what its `beat_scheduler` keeps elsewhere;
    package.module:NAME for a dict of the same form, or for a class of Celery's schedulers. On all nodes with an instance of
    this name one process at a time sends them: docs/schedules.md. Empty, because nothing is sent that was not asked for."""

    sends: Names = ()
    """The names of tasks of other instances that tasks of this one send, or that come behind them in chains, with commas
    between them. `agent topology` gives the node's user of the broker the right to send them; nothing else comes of it. Empty,
    because the right to one's own queues is enough for most; where clients declare queues themselves, nobody needs it."""

    path: Folders = ()
    """Folders put in front of `sys.path` for the task classes, absolute, with ':' between them: the consumer's source
    folder, and the folder that holds `celery_tasks/`. Empty, because code that is installed needs none."""

    preload: Modules = ()
    """Modules imported once, before the workers are forked, which then share their memory; with commas between them.
    For large libraries. Empty, because it must be safe to fork after the import: a module whose import starts threads or
    opens connections is refused. numpy starts none with OPENBLAS_NUM_THREADS=1 in the same file. The module of APP has the
    whole app loaded before the fork, all of its task modules. docs/preload.md says what of a module the workers have."""

    celery_config: Module = "celery_tasks.celery_config"
    """The module with Celery's settings for TASKS, which also says what is promised about a task. The package that it is
    in is the one whose task classes are contracts. The default is the article's."""

    python: Interpreter = sys.executable
    """The interpreter that runs the tasks, absolute: `bin/python` of the consumer's virtual environment, which has Celery
    5.5, 5.6 or 5.7 and nothing of the agent; for TASKS our library too. The agent's own by default, so that one
    environment is enough."""

    import_timeout: Seconds = Field(default=30, gt=0, le=240)
    """Seconds that importing all task classes may take when the plan is made; then the import is ended and reported as
    hanging. Ten times what a large library takes on a slow disk."""

    defaults: QueueSettings = QueueSettings()
    """Settings of every queue, each as CELERY_AGENT_DEFAULTS__<SETTING>."""

    queues: dict[str, QueueSettings] = {}
    """Settings of one queue, each as CELERY_AGENT_QUEUES__<queue>__<SETTING>; they win over those of every queue. Upper
    and lower case of the queue's name are the same. Queues whose names have other characters than letters, digits and
    '_' go into CELERY_AGENT_QUEUES as one JSON object: {"mails.out": {"POOL": "threads"}}."""

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        *args: object,
        **kwargs: object,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Leave out the process's environment: what is read from an env file arrives as arguments."""
        return (init_settings,)
