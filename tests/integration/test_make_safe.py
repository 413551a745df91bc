"""A project's own app with the line `make_safe(app)`: nothing of its queues is lost, with the agent and without."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.adopting import Adopted
from tests.rabbitmq import RabbitMQ
from tests.waiting import wait_until

pytestmark = pytest.mark.celery


@pytest.fixture
def project(tmp_path: Path, broker: RabbitMQ, vhost: str) -> Iterator[Adopted]:
    """An instance that hosts the project and is not started; what is left of it is ended afterwards."""
    project = Adopted(tmp_path, broker, vhost)
    project.write()
    project.configure()
    yield project
    project.close()
    log = project.log.read_text() if project.log.exists() else ""
    assert "agent-fault" not in log, "the agent did something wrong itself"


def kill(project: Adopted, queue: str) -> None:
    """Kill the worker of a queue, when there is one."""
    pid = wait_until(lambda: project.pids()[queue], 120, "there is a worker again")
    os.kill(pid, signal.SIGKILL)


@pytest.mark.rabbitmq_4
def test_no_task_is_lost_when_workers_are_killed(
    project: Adopted, pytestconfig: pytest.Config, measured: Callable[[str], None]
) -> None:
    count = pytestconfig.getoption("--tasks")
    project.configure("mail", DEFAULTS__CONCURRENCY="2", DEFAULTS__PREFETCH="8")
    project.start()
    project.wait_until_consuming()
    killed = 0
    # Many are sent so slowly that each worker lives for 10 s: one that dies sooner is replaced ever later.
    every, pause = (100, 0.005) if count < 1000 else (count // 20, 240 / count)
    with project.sending("mail", count, pause):
        for due in range(50, count, every):
            wait_until(lambda due=due: len(project.noted("run")) >= due, 300, f"{due} are run")  # type: ignore[misc]
            kill(project, "mail")
            killed += 1
    accepted = project.noted("accepted")
    wait_until(lambda: not accepted - project.noted("run"), 120, "all have been run")
    twice = sum(project.noted("run").values()) - count
    measured(f"make_safe, kill -9 of {killed} workers: {count} accepted, 0 lost, {twice} run twice")
    assert len(accepted) == count
    assert project.kinds()["mail.safe"] == "quorum"


def test_celery_worker_does_the_same_and_leaves_the_queue_that_is_not_named_as_it_was(project: Adopted) -> None:
    project.write("make_safe(app, queues=['mail'])")
    with project.worker("-Q", "mail,other", "-c", "2") as process:
        project.wait_for_consumers("mail.safe", "other")
        with project.sending("mail", 1), project.sending("other", 1):
            pass
        wait_until(lambda: len(project.noted("run")) == 2, 60, "both are run")
        project.python("import proj\nvalue = [proj.mail.delay(60).id, proj.other.delay(60).id]")
        wait_until(lambda: len(project.noted("begun")) == 4, 60, "both are begun")
        process.kill()
    # A pool child that outlives its parent for a moment holds the connection for as long.
    wait_until(lambda: project.broker.messages("mail.safe", project.vhost) == 1, 60, "the safe one is back")
    assert project.broker.messages("other", project.vhost) == 0
    kinds = project.kinds()
    assert (kinds["mail.safe"], kinds["mail.safe.dead"], kinds["other"]) == ("quorum", "quorum", "classic")
    assert not {"mail", "other.safe", "celery.safe"} & set(kinds)


def test_what_it_can_not_run_is_a_dead_letter_of_the_desk_and_check_is_content(project: Adopted) -> None:
    project.configure("celery")
    project.start()
    project.wait_until_consuming()
    task_id = project.python("import proj\nvalue = proj.app.send_task('again', [1]).id")
    wait_until(lambda: project.broker.messages("celery.safe.dead", project.vhost) == 1, 60, "it is a dead letter")
    found = project.run("dead-letters", "magic", "--queue", "celery", "--json")
    letters = json.loads(found.stdout)["letters"]
    assert [(each["id"], each["task"], each["reason"]) for each in letters] == [(task_id, "again", "arguments")]
    assert "1 replayed" in project.run("dead-letters", "magic", "replay", "--all").stdout
    wait_until(lambda: project.broker.messages("celery.safe.dead", project.vhost) == 1, 60, "it is one again")
    assert "1 purged" in project.run("dead-letters", "magic", "purge", "--yes").stdout
    checked = project.run("check", "magic")
    assert checked.returncode == 0, checked.stdout
    others = ("ok ", "is RabbitMQ 3", "env file")  # which are told whatever an app does
    assert [line for line in checked.stdout.splitlines() if not any(each in line for each in others)] == []


@pytest.mark.rabbitmq_4
def test_a_retry_goes_back_to_the_queue_that_its_task_came_by(project: Adopted) -> None:
    with project.worker("-Q", "mail", "-P", "solo"):
        project.wait_for_consumers("mail.safe")
        project.python("import proj\nvalue = proj.again.apply_async(queue='mail').id")
        wait_until(lambda: project.noted("run"), 60, "it is run again")
    assert "celery.safe" not in project.kinds()


def test_a_producer_does_not_wait_for_ever_for_a_broker_that_is_away(project: Adopted) -> None:
    project.variables["BROKER"] = "amqp://guest:guest@127.0.0.1:1//"
    code = """
import proj
try:
    proj.mail.apply_async(confirm_timeout=1)
except Exception as error:
    value = type(error).__name__
"""
    assert project.python(code) == "NotAccepted"


def test_check_tells_what_is_promised_less_and_of_a_name_that_no_queue_has(project: Adopted) -> None:
    project.write("make_safe(app, queues=['mail', 'mial'])", more="app.conf.task_acks_late = False\n")
    checked = project.run("check", "magic").stdout
    assert "less is promised than make_safe does: task mail has acks_late=False" in checked
    assert (
        "make_safe names the queue 'mial', and neither task_queues nor a route has it. Did you mean 'mail'?" in checked
    )


def test_what_can_not_be_is_one_line_of_check(project: Adopted) -> None:
    project.write("make_safe(app); app.conf.broker_url = 'redis://localhost'")
    checked = project.run("check", "magic")
    assert checked.returncode == 78
    assert "Traceback" not in checked.stdout
    [bad] = [each for each in checked.stdout.splitlines() if "FAIL" in each]
    assert "make_safe needs RabbitMQ, and broker_url begins with redis" in bad
