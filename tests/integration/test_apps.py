"""A project's own app under the agent: what is the app's stays the app's, and what is the agent's holds for it."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path
from typing import Any

import amqp
import pytest

from tests.environment import environment_with_celery
from tests.projects import Project
from tests.waiting import wait_until

pytestmark = pytest.mark.celery

SOURCE = """
import os, time
from celery import Celery
from kombu import Queue
from kombu.common import Broadcast

IMPORTED_BY = os.getpid()
app = Celery("proj", broker=os.environ["BROKER"], backend="rpc://")
app.conf.task_routes = {"slow": "slow"}

@app.task(name="imported_by")
def imported_by():
    return IMPORTED_BY

@app.task(name="add")
def add(a, b):
    return a + b

@app.task(name="slow", acks_late=True, reject_on_worker_lost=True)
def slow(path, seconds):
    with open(path, "a") as file:
        file.write("run\\n")
    if os.path.getsize(path) == 4:
        time.sleep(seconds)
    return os.path.getsize(path) // 4
"""


STATS = """
from proj import app
found = app.control.inspect(timeout=3, limit=2).stats() or {}
value = found if len(found) == 2 else None
"""


@pytest.fixture
def project(project: Project) -> Project:
    """An instance that hosts a small app."""
    write(project)
    project.configure()
    return project


def write(project: Project, more: str = "") -> None:
    """Write the project's module: the small app, and more of it."""
    (project.code / "proj.py").write_text(SOURCE + more)


def _log(project: Project) -> str:
    return project.log.read_text() if project.log.exists() else ""


def start(project: Project) -> None:
    project.start()
    project.wait_until_consuming()


def stats(project: Project, queue: str) -> Any:
    """Return what the worker of a queue says of itself, by Celery's remote control."""
    found = wait_until(lambda: project.python(STATS), 60, "the workers answer")
    return next(each for name, each in found.items() if name.startswith(f"{queue}."))


def test_a_limit_or_prefetch_that_the_env_file_does_not_set_is_the_app_s(project: Project) -> None:
    write(
        project, "app.conf.update(worker_prefetch_multiplier=7, task_time_limit=100, worker_max_tasks_per_child=50)\n"
    )
    start(project)
    found = stats(project, "celery")
    assert (found["prefetch_count"], found["pool"]["timeouts"]) == (7, [0, 100])
    assert found["pool"]["max-tasks-per-child"] == 50


def test_what_the_env_file_sets_wins_over_the_app_s_and_the_pool_is_the_agent_s(project: Project) -> None:
    write(
        project,
        "app.conf.update(worker_prefetch_multiplier=7, task_time_limit=100, worker_concurrency=9, worker_pool='solo')\n",
    )
    project.configure(QUEUES__slow__PREFETCH="2", QUEUES__slow__TIME_LIMIT="20", DEFAULTS__CONCURRENCY="3")
    start(project)
    found = stats(project, "slow")
    assert (found["prefetch_count"], found["pool"]["timeouts"]) == (6, [0, 20])
    assert (found["pool"]["max-concurrency"], len(found["pool"]["processes"])) == (3, 3)


def test_its_events_are_those_that_celery_worker_sends(project: Project) -> None:
    write(project, "app.conf.worker_send_task_events = True\n")
    start(project)
    code = """
from proj import add, app
wanted, seen = {"worker-heartbeat", "task-received", "task-succeeded"}, set()
with app.connection() as connection:
    receiver = app.events.Receiver(connection, handlers={"*": lambda event: seen.add(event["type"])})
    with receiver.consumer_context(wakeup=False):
        add.delay(1, 2)
        while not wanted <= seen:
            try:
                connection.drain_events(timeout=20)
            except TimeoutError:
                break
value = sorted(seen)
"""
    assert {"task-received", "task-succeeded", "worker-heartbeat"} <= set(project.python(code))


def test_wrong_arguments_are_the_task_s_failure_as_with_celery(project: Project) -> None:
    start(project)
    code = """
from proj import app
result = app.send_task("add", (1,))
try:
    result.get(timeout=30)
except Exception as error:
    value = type(error).__name__
"""
    assert project.python(code) == "TypeError"


def test_a_message_that_would_end_celery_s_worker_costs_that_message_alone(project: Project) -> None:
    start(project)
    before = project.pids()
    with project.broker.connect(project.vhost) as connection:
        odd = amqp.Message("[[], {}, {}]", content_type="application/json", content_encoding="utf-8")
        odd.properties["application_headers"] = {"task": ["add"], "id": "one"}
        connection.channel().basic_publish(odd, "celery", "celery")
    assert project.python("from proj import add\nvalue = add.delay(1, 2).get(timeout=30)") == 3
    assert project.pids() == before
    wait_until(lambda: project.broker.messages("celery", project.vhost) == 0, 30, "the message is gone")


def test_a_task_that_is_acked_late_runs_again_when_its_worker_is_killed(project: Project, tmp_path: Path) -> None:
    start(project)
    path = tmp_path / "runs"
    project.python(f"from proj import slow\nvalue = slow.delay({str(path)!r}, 600).id")
    wait_until(path.exists, 30, "the task runs")
    os.kill(project.pids()["slow"], signal.SIGKILL)
    wait_until(lambda: path.read_text() == "run\nrun\n", 60, "the task runs again")


def test_a_delay_on_a_quorum_queue_is_celery_s_own(project: Project) -> None:
    write(project, "app.conf.task_default_queue_type = 'quorum'\napp.conf.task_default_exchange_type = 'topic'\n")
    start(project)
    assert project.python("from proj import add\nvalue = add.apply_async((1, 2), countdown=2).get(timeout=40)") == 3


def test_a_part_of_its_queues_can_be_named_and_one_that_is_known_by_name_only(project: Project) -> None:
    project.configure("slow", "+adhoc")
    start(project)
    assert sorted(project.pids()) == ["adhoc", "slow"]
    assert project.python("from proj import add\nvalue = add.apply_async((1, 2), queue='adhoc').get(timeout=30)") == 3


def test_priorities_topics_and_broadcasts_are_the_app_s(project: Project) -> None:
    write(
        project,
        """
from kombu import Exchange
app.conf.task_queues = [
    Queue("celery"),
    Queue("ranked", queue_arguments={"x-max-priority": 5}),
    Queue("logs", Exchange("topics", "topic"), "log.#"),
    Broadcast("everywhere"),
]
app.conf.task_routes = {
    "slow": {"queue": "ranked", "priority": 3},
    "add": {"exchange": "topics", "routing_key": "log.mail"},
    "imported_by": {"queue": "everywhere"},
}
""",
    )
    start(project)
    assert sorted(project.pids()) == ["celery", "everywhere", "logs", "ranked"]
    code = "from proj import add, imported_by\nvalue = [add.delay(1, 2).get(timeout=30), imported_by.delay().get(timeout=30)]"
    total, _ = project.python(code)
    assert total == 3
    assert project.stop() == 0  # it is not looked at beside the broker, which calls the broadcast queue otherwise


def test_a_preloaded_app_is_loaded_once_before_the_fork(project: Project) -> None:
    project.configure(PRELOAD="proj")
    start(project)
    assert (
        project.python("from proj import imported_by\nvalue = imported_by.delay().get(timeout=30)")
        == project.template()
    )


def test_an_app_that_is_not_preloaded_is_loaded_by_each_worker(project: Project) -> None:
    start(project)
    found = project.python("from proj import imported_by\nvalue = imported_by.delay().get(timeout=30)")
    assert found == project.pids()["celery"]


def test_an_app_and_task_classes_are_hosted_side_by_side(project: Project) -> None:
    project.variables |= project.broker.variables(project.vhost)
    project.configure(TASKS="greek:Alpha")
    start(project)
    assert sorted(project.pids()) == ["alpha", "celery", "slow"]
    assert project.send("alpha", "return", 7) == 7
    assert project.python("from proj import add\nvalue = add.delay(1, 2).get(timeout=30)") == 3


def test_the_project_s_interpreter_needs_nothing_of_ours(project: Project, tmp_path: Path) -> None:
    python = environment_with_celery(tmp_path / "venv")
    (library,) = python.parents[1].glob("lib/python3*/site-packages/celery_delivery")
    library.unlink()
    project.configure(PYTHON=str(python))
    start(project)
    assert project.python("from proj import add\nvalue = add.delay(1, 2).get(timeout=30)") == 3


def test_a_queue_that_is_there_with_other_arguments_is_told_by_the_check(project: Project) -> None:
    with project.broker.connect(project.vhost) as connection:
        connection.channel().queue_declare("slow", durable=True, auto_delete=False, arguments={"x-max-priority": 3})
    done = project.run("check", "magic")
    assert "has a queue 'slow' of another kind, and refuses ours: " in done.stdout
    assert "Or give it the same arguments in task_queues." in done.stdout
    assert done.returncode == 1


def test_a_command_that_is_for_contracts_says_that_an_app_has_none(project: Project) -> None:
    assert project.run("dead-letters", "magic").stderr.startswith("agent: A project's own app has no dead letters")
    project.variables |= project.broker.variables(project.vhost)
    project.configure(TASKS="greek:Alpha")
    assert project.run("dead-letters", "magic").returncode == 0
    one = project.run("dead-letters", "magic", "--queue", "slow")
    assert one.stderr.startswith("agent: A project's own app has no dead letters")
    declared = json.loads(project.run("topology", "magic", "--definitions").stdout)
    assert {"alpha"} == {each["name"] for each in declared["queues"]} & {"alpha", "slow"}
    assert "slow" in declared["permissions"][0]["configure"]


def test_the_status_names_the_app_and_the_tasks_of_its_queues(project: Project) -> None:
    start(project)
    status = project.status()
    assert status["app"] == "proj:app"
    assert {queue["queue"]: queue["tasks"] for queue in status["queues"]} == {
        "celery": ["add", "imported_by"],
        "slow": ["slow"],
    }
    assert "  app proj:app as its project made it" in project.run("status", "magic").stdout
