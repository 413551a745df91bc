"""A status as people see it."""

import re
import time
from dataclasses import replace
from pathlib import Path

import pytest

from agent.cli.render import SOON, duration, render
from agent.decide.limits import CGROUP, CONTROLLERS, PROCESS_GROUP, Enforcement, with_cgroup, without_cgroup
from agent.decide.status import BROKER, OWN, BrokerStatus, CertificateStatus, QueueStatus, Status, TaskStatus
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
    waiting=12,
    consumers=1,
    rate_in=0.5,
    rate_out=150.2,
    oldest=34.0,
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


def test_what_the_agent_can_not_write_stands_at_the_head() -> None:
    lines = render(replace(STATUS, unkept="the disk is full: free space")).splitlines()
    assert "  the disk is full: free space" in lines[: lines.index("")]


def test_the_whole_of_a_healthy_instance() -> None:
    assert render(STATUS).splitlines() == [
        "magic: running, consuming from 1 queue",
        "  agent 1.0, pid 1, up 5.0 s, 2.0 MiB",
        "  broker amqp://broker//",
        "  limits by cgroup: cpu, memory, pids",
        "",
        (
            "  QUEUE   HEALTH     PID  WAITING  RUNNING                 DONE  FAILED  "
            "IN/s  OUT/s  OLDEST  RESTARTS   MEMORY    CPU"
        ),
        (
            "  emails  consuming    7       12  1/2 (oldest 1 min 1 s)     3       2  "
            " 0.5    150    34 s         0  1.0 MiB  0.5 s"
        ),
    ]
    assert render(replace(STATUS, queues=(replace(QUEUE, waiting=None),))).splitlines()[-1].split()[3] == "-"


def test_what_is_not_known_of_the_queues_is_said_once() -> None:
    away = "the broker can't be reached"
    several = tuple(replace(QUEUE, queue=name, waiting=None, unseen=away) for name in ("emails", "reports"))
    assert render(replace(STATUS, queues=several)).splitlines()[-1] == f"  2 queues: what waits is not known: {away}"
    assert render(replace(STATUS, queues=several[:1])).splitlines()[-1] == f"  emails: what waits is not known: {away}"
    dead = replace(STATUS, queues=several, watcher="the watcher is being started")
    assert render(dead).splitlines()[-1] == "  what waits is not known: the watcher is being started"


@pytest.mark.parametrize(
    ("queue", "line"),
    [
        (replace(QUEUE, health="broker_down", cause="no answer", health_age=3.0), "emails  broker down"),
        (
            replace(QUEUE, health="broker_down", cause="no answer", health_age=3.0),
            "emails: broker down for 3.0 s: no answer",
        ),
        (replace(QUEUE, state="connecting"), "waiting for broker"),
        (replace(QUEUE, unresponsive=20.0), "unresponsive"),
        (replace(QUEUE, obstacle="no process gets ready"), "held up"),
        (replace(QUEUE, obstacle="no process gets ready"), "emails: runs nothing: no process gets ready"),
        (replace(QUEUE, losing="no Redis"), "emails: runs its tasks, but their results are lost: no Redis"),
        (replace(QUEUE, clock="an hour behind: NTP"), "emails: an hour behind: NTP"),
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


def test_a_broker_that_is_away_while_another_is_not_is_named() -> None:
    away = BrokerStatus("amqp://one:5672//", "away", "timed out")
    there = BrokerStatus("amqp://two:5672//", "", "")
    line = "  not reached: amqp://one:5672//: away: timed out; another broker is"
    assert line in render(replace(STATUS, brokers=(away, there))).splitlines()
    assert "not reached" not in render(replace(STATUS, brokers=(away,)))
    assert "not reached" not in render(replace(STATUS, brokers=(there,)))


def test_dead_letters_are_said_with_the_command_that_tells_of_them() -> None:
    queues = (replace(QUEUE, dead=1), replace(QUEUE, queue="sms", dead=3), replace(QUEUE, queue="fax", dead=0))
    assert render(replace(STATUS, queues=queues)).splitlines()[-3:] == [
        "",
        "  emails: 1 dead letter: agent dead-letters magic",
        "  sms: 3 dead letters: agent dead-letters magic",
    ]


def test_certificates_that_run_out_before_long_are_said_and_our_own_once() -> None:
    left = {"amqps://a": 9 * 86_400 + 60, "amqps://b": -7_260, "amqps://c": SOON + 60}  # seconds
    theirs = [CertificateStatus(broker, BROKER, time.time() + seconds) for broker, seconds in left.items()]
    ours = [CertificateStatus(broker, OWN, theirs[0].expires) for broker in left]
    assert render(replace(STATUS, certificates=(*theirs, *ours))).splitlines()[-4:] == [
        "",
        "  the certificate of amqps://a runs out in 9 d 0 h",
        "  the certificate of amqps://b ran out 2 h 1 min ago",
        "  our own certificate runs out in 9 d 0 h",
    ]


def test_a_certificate_runs_out_soon_when_the_alert_says_so() -> None:
    rules = (Path(__file__).parents[2] / "deploy" / "prometheus" / "celery-agent.rules.yml").read_text()
    (days,) = re.findall(r"celery_agent_certificate_expires_timestamp_seconds - time\(\) < (\d+) \* 86400", rules)
    assert int(days) * 86_400 == SOON


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
    assert table[0].split() == ["QUEUE", "HEALTH", "WAITING", "RUNNING", "DONE", "FAILED"]
    assert table[2].startswith("  reports.mo…there_are  consuming       12  ")
