"""The conditions that are provoked for real, one row each: how, what the agent has to call it, and what ends it."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial

from tests.health.deeds import (
    Deed,
    change_password,
    delete_queue,
    kill_pool,
    logged,
    nothing,
    poison,
    restore_password,
    revoke_rights,
    send,
    shut_out,
    signal_worker,
    start_broker,
    stop_broker,
    touch,
)
from tests.health.stage import Stage, Way


@dataclass(frozen=True)
class Condition:
    """One row.

    words: the health that it must be given within `within` seconds, any of them; none where it must heal before it has a name.
    cause: what the log's line of it must say. action: what is done about it, for the table.
    end: takes the cause away, or waits until the agent or Celery has. restarts: the least and the most there may be.
    work: tasks that are waiting when it is provoked. before: what is done before the instance starts. begins_refused: whether
        it can't consume then.
    """

    name: str
    pool: str
    provoke: Deed
    words: tuple[str, ...]
    action: str
    end: Deed
    restarts: tuple[int, int] = (0, 0)
    cause: str = ""
    within: float = 15.0
    settings: dict[str, str] = field(default_factory=dict)
    work: int = 20
    way: Way = Way.STRAIGHT
    before: Deed = lambda stage: None
    begins_refused: bool = False


REPLACED, RESTARTED = "replaced", "started again"
NONE = "none: it tries again by itself"
_KILLED = logged("worker-replaced", "worker-exited")
_CLASSIC = {"TASKS": "", "APP": "proj:app"}  # an app of others, with late acks
_LIMIT = {"DEFAULTS__TIME_LIMIT": "5"}

CONDITIONS = (
    *(
        Condition(
            f"main process stopped (SIGSTOP), {pool}",
            pool,
            signal_worker,
            ("hung",),
            REPLACED,
            _KILLED,
            (1, 1),
            "stopped",
        )
        for pool in ("prefork", "threads", "solo")
    ),
    *(
        Condition(
            f"main loop hangs, {pool}", pool, partial(touch, "hang"), ("hung",), REPLACED, _KILLED, (1, 1), "not turn"
        )
        for pool in ("prefork", "threads")
    ),
    Condition(
        "every pool process deadlocked",
        "prefork",
        partial(send, "deadlock", 2),
        (),
        "Celery kills each at TIME_LIMIT (5 s)",
        logged("Hard time limit (5.0s) exceeded"),
        settings=_LIMIT,
        work=0,
    ),
    Condition(
        "every pool process deadlocked, no limit",
        "prefork",
        partial(send, "deadlock", 2),
        ("busy",),
        "none: nobody can tell it from a long wait; the cause says so",
        kill_pool,
        cause="use no CPU",
        within=90.0,
        work=0,
    ),
    Condition(
        "all threads deadlocked",
        "threads",
        partial(send, "deadlock", 2),
        ("stuck",),
        "replaced beyond TIME_LIMIT (5 s)",
        _KILLED,
        (1, 2),
        "beyond its limit",
        settings=_LIMIT,
        work=0,
    ),
    Condition(
        "a task that never ends, solo",
        "solo",
        partial(send, "for ever", 1, counts=False),
        ("stuck",),
        "replaced beyond TIME_LIMIT (5 s); a dead letter after three times",
        logged("It becomes a dead letter"),
        (3, 3),
        "beyond its limit",
        settings=_LIMIT,
        work=0,
    ),
    Condition(
        "consumer_timeout",
        "prefork",
        partial(send, "long", 1),
        (),
        "the worker opens another channel; the task runs again",
        logged("PRECONDITION_FAILED"),
        before=lambda stage: stage.be_impatient(3_000, 1_000),
        work=0,
    ),
    Condition(
        "queue deleted under the consumer", "threads", delete_queue, (), "the worker declares it anew", nothing, work=0
    ),
    Condition(
        "consumer cancelled", "threads", partial(touch, "cancel"), ("deaf",), REPLACED, _KILLED, (1, 1), "lost its"
    ),
    Condition(
        "more tasks than it can do",
        "prefork",
        partial(send, "sleep", 200),
        ("saturated",),
        "none: more CONCURRENCY or more nodes would help",
        nothing,
        cause="more comes than it can do",
        work=0,
    ),
    Condition(
        "frozen link", "prefork", Stage.freeze_link, ("broker_down",), NONE, Stage.thaw_link, within=30.0, way=Way.PROXY
    ),
    *(
        Condition(
            f"broker stopped for 60 s, {pool}", pool, stop_broker, ("broker_down",), NONE, partial(start_broker, 60.0)
        )
        for pool in ("prefork", "threads", "solo")
    ),
    *(
        Condition(
            f"{what} in a task, {kind} queue, {pool}",
            pool,
            partial(poison, action),
            () if pool == "prefork" else ("backoff",),
            f"started again; {end} after three deaths",
            logged("is not run again"),
            (0, 0) if pool == "prefork" else (3, 4),
            work=0,
            settings=settings,
        )
        for kind, end, settings in (("quorum", "a dead letter", {}), ("classic", "rejected", _CLASSIC))
        for what, action in (("os.abort()", "abort"), ("C-level crash", "crash"))
        for pool in ("prefork", "threads", "solo")
    ),
    Condition(
        "a task that kills its parent",
        "prefork",
        partial(send, "kill its parent", 1),
        (),
        RESTARTED,
        logged("worker-exited"),
        (1, 1),
    ),
    Condition(
        "a memory leak",
        "prefork",
        partial(send, "leak", 20),
        (),
        "a pool process is replaced between tasks, above MAX_MEMORY_PER_CHILD",
        nothing,
        settings={"DEFAULTS__MAX_MEMORY_PER_CHILD": "100"},
    ),
    Condition(
        "a module that raises on its first call after a fork",
        "prefork",
        partial(send, "raise at first", 4, counts=False),
        (),
        "none: these tasks fail",
        logged("used over a fork"),
    ),
    Condition(
        "wrong password at start",
        "prefork",
        nothing,
        ("broker_down",),
        NONE,
        restore_password,
        cause="refuses user or password",
        work=0,
        before=change_password,
        begins_refused=True,
    ),
    Condition(
        "wrong password later",
        "threads",
        change_password,
        ("broker_down",),
        NONE,
        restore_password,
        cause="refuses user or password",
    ),
    Condition(
        "right revoked while running",
        "solo",
        revoke_rights,
        ("broker_down",),
        NONE,
        lambda stage: stage.allow(".*"),
        cause="refuses a right",
    ),
    Condition(
        "virtual host taken away while running",
        "prefork",
        shut_out,
        ("broker_down",),
        NONE,
        lambda stage: stage.allow(".*"),
        cause="refuses the virtual host",
    ),
    Condition(
        "certificate runs out while running",
        "threads",
        Stage.let_certificate_expire,
        ("broker_down",),
        NONE,
        Stage.start_proxy,
        cause="TLS",
        way=Way.TLS,
    ),
    Condition(
        "the first of a list of brokers goes away",
        "prefork",
        Stage.end_proxy,
        (),
        "none: the next of the list is taken; `agent status` names the one that is away",
        logged("broker-not-reached"),
        way=Way.LIST,
    ),
)
SHORT = ("wrong password later", "consumer cancelled")  # what `make test` plays
