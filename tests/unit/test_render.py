"""A status as people see it."""

from dataclasses import replace

import pytest

from agent.cli.render import duration, render
from agent.decide.limits import CGROUP, CONTROLLERS, PROCESS_GROUP, Enforcement, with_cgroup, without_cgroup
from agent.decide.status import QueueStatus, Status, TaskStatus
from agent.guest.spec import Limits

QUEUE = QueueStatus(
    queue="emails",
    wanted=True,
    state="consuming",
    pid=7,
    generation=1,
    consuming=True,
    unresponsive=None,
    obstacle=None,
    losing=None,
    age=1.0,
    pool="prefork",
    concurrency=2,
    tasks=("mail:Send",),
    active=(TaskStatus("id", "send", 61.0),),
    active_count=1,
    succeeded=3,
    failed=2,
    retried=0,
    restarts=0,
    last_exit=None,
    oom_kills=0,
    not_started=None,
    limits=Limits(),
    unenforced=(),
    retry_in=None,
    replacement=None,
    draining=0,
    memory=1_048_576,
    cpu=0.5,
    processes=2,
)
STATUS = Status(
    instance="magic",
    version="1.0",
    pid=1,
    uptime=5.0,
    state="running",
    summary="consuming from 1 queue",
    broker="amqp://broker//",
    embedded=False,
    memory=2_097_152,
    reload_error=None,
    enforcement=with_cgroup(dict.fromkeys(CONTROLLERS), CGROUP),
    queues=(QUEUE,),
)


def test_the_whole_of_a_healthy_instance() -> None:
    assert render(STATUS).splitlines() == [
        "magic: running, consuming from 1 queue",
        "  agent 1.0, pid 1, up 5.0 s, 2.0 MiB",
        "  broker amqp://broker//",
        "  limits by cgroup: cpu, memory, pids",
        "",
        "  QUEUE   STATE      PID  RUNNING                 DONE  FAILED  RESTARTS   MEMORY    CPU",
        "  emails  consuming    7  1/2 (oldest 1 min 1 s)     3       2         0  1.0 MiB  0.5 s",
    ]


@pytest.mark.parametrize(
    ("queue", "line"),
    [
        (replace(QUEUE, state="connecting"), "waiting for broker"),
        (replace(QUEUE, unresponsive=20.0), "unresponsive"),
        (replace(QUEUE, obstacle="no process gets ready"), "held up"),
        (replace(QUEUE, obstacle="no process gets ready"), "emails: runs nothing: no process gets ready"),
        (replace(QUEUE, losing="no Redis"), "emails: runs its tasks, but their results are lost: no Redis"),
        (replace(QUEUE, unresponsive=20.0), "emails: its worker has been silent for 20 s"),
        (
            replace(QUEUE, state="backoff", pid=None, last_exit="exit status 1", retry_in=3.0),
            "exit status 1, next try in 3.0 s",
        ),
        (
            replace(
                QUEUE, state="backoff", last_exit="exit status 1", not_started="the template is gone", retry_in=3.0
            ),
            "emails: could not be started: the template is gone, next try in 3.0 s",
        ),
        (replace(QUEUE, state="backoff", retry_in=3.0), "emails: could not be started, next try in 3.0 s"),
        (
            replace(QUEUE, state="starting", not_started="the template is gone"),
            "emails: could not be started: the template is gone, trying again",
        ),
        (replace(QUEUE, last_exit="killed by SIGKILL", restarts=1), "emails: last ended unasked: killed by SIGKILL"),
        (replace(QUEUE, replacement="starting"), "emails: replacement is starting"),
        (replace(QUEUE, unenforced=("CPU_WEIGHT", "PIDS_MAX")), "emails: nothing enforces CPU_WEIGHT, PIDS_MAX here"),
        (replace(QUEUE, wanted=False), "emails: finishes its tasks and goes"),
    ],
)
def test_what_needs_a_look_is_said(queue: QueueStatus, line: str) -> None:
    assert line in render(replace(STATUS, queues=(queue,)))


@pytest.mark.parametrize(
    ("enforcement", "line"),
    [
        (without_cgroup("it is not delegated"), "  limits by process, not by cgroup: it is not delegated"),
        (
            with_cgroup({"cpu": None, "memory": "not delegated", "pids": None}, PROCESS_GROUP),
            "  limits by cgroup: cpu, pids (memory not delegated)",
        ),
    ],
)
def test_what_enforces_limits_is_said(enforcement: Enforcement, line: str) -> None:
    assert line in render(replace(STATUS, enforcement=enforcement)).splitlines()


def test_a_refused_reload_is_said() -> None:
    assert "last reload refused: no" in render(replace(STATUS, reload_error="no"))


def test_a_state_is_not_said_twice() -> None:
    assert render(replace(STATUS, state="stopping", summary="stopping, 1 queue left")).startswith(
        "magic: stopping, 1 queue"
    )


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.04, "0.0 s"), (9.9, "9.9 s"), (59, "59 s"), (3_599, "59 min 59 s"), (90_000, "1 d 1 h")]
)
def test_durations(seconds: float, text: str) -> None:
    assert duration(seconds) == text


def test_a_narrow_terminal_sees_whole_rows() -> None:
    long = replace(QUEUE, queue="reports.monthly.of_all_the_departments_that_there_are", pid=123_456)
    lines = render(replace(STATUS, queues=(QUEUE, long)), width=80).splitlines()
    table = lines[lines.index("") + 1 :]
    assert max(map(len, table)) == 80
    assert table[0].split() == ["QUEUE", "STATE", "RUNNING", "DONE", "FAILED"]
    assert table[2].startswith("  reports.monthl…that_there_are  consuming  ")
