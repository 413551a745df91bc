"""FAILED=keep: a task that raised is a dead letter with what it raised, and its caller gets the exception all the same."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from agent.errors import OK
from tests.adopting import Adopted
from tests.integration.dead_letters import desk, letters, waiting
from tests.node import EACH_POOL, TASKS, Node
from tests.projects import Project
from tests.rabbitmq import RabbitMQ
from tests.redis import Redis
from tests.waiting import wait_until

BRANCHES = """
            elif action == "in vain":
                raise self.retry(exc=ValueError(value), countdown=0, max_retries=1)
            elif action == "in vain later":
                raise self.retry(exc=ValueError(value), countdown=2, max_retries=1)
            elif action == "expected":
                raise KeyError(value)
            elif action == "wait and fail":
                open(value + "-begun", "w").close()
                while not os.path.exists(value):
                    time.sleep(0.05)
                raise ValueError(value)
            elif action == "ignore":
                raise celery.exceptions.Ignore
            elif action == "reject":
                raise celery.exceptions.Reject("no")
            elif action == "fail without a file" and not os.path.exists(value):
                raise ValueError(value)
            return value
    Task.throws = (KeyError,)
"""
COROUTINE = """
class Delta(celery.Task):
    name = "delta"
    throws = (KeyError,)
    async def run(self, action, value=None):
        return Gamma.run(self, action, value)
"""
WAITING = """
import asyncio
class Delta(celery.Task):
    name = "delta"
    async def run(self, action, value=None):
        if action == "wait and fail":
            open(value + "-begun", "w").close()
            await asyncio.sleep(600)
        return Gamma.run(self, action, value)
"""
# Ends the worker once, when the broker has the copy and before the message is acked.
DIES_BETWEEN = """
from celery_delivery.worker import failures
send = failures.send
def sent_and_dead(*args):
    send(*args)
    try:
        open(os.path.dirname(__file__) + "/died", "x").close()
    except FileExistsError:
        return
    os.kill(os.getpid(), 9)
failures.send = sent_and_dead
"""
PLAIN = """
import os
from celery import Celery

app = Celery("proj", broker=os.environ["BROKER"])

@app.task
def fail():
    raise ValueError
"""
ASK = """
said = {}
for action in ("fail", "in vain", "expected"):
    try:
        worker.apply_async((action, "no luck"), task_id=action).get(timeout=60)
    except Exception as error:
        said[action] = [type(error).__name__, str(error)]
for action in ("ignore", "reject"):
    worker.apply_async((action,), task_id=action)
print(json.dumps(said))
"""


def have_them_fail(node: Node, more: str = "") -> None:
    (node.code / "greek.py").write_text(TASKS.replace("            return value\n", BRANCHES) + more)


def reasons(node: Node, queue: str) -> dict[str, tuple[str, str]]:
    return {each["id"]: (each["reason"], each["text"]) for each in letters(node, "--queue", queue)}


@pytest.mark.rabbitmq_4
def test_on_each_pool_it_is_a_letter_and_what_is_no_failure_is_none(node: Node) -> None:
    have_them_fail(node, COROUTINE)
    node.configure_pools({**EACH_POOL, "delta": "threads"}, DEFAULTS__FAILED="keep")
    node.start()
    node.wait_until_consuming()
    raised = ["ValueError", "no luck"]
    for queue, said in node.produce_at_once(ASK, [*EACH_POOL, "delta"]).items():
        assert said == {"fail": raised, "in vain": raised, "expected": ["KeyError", "'no luck'"]}
        wait_until(lambda queue=queue: waiting(node, f"{queue}.dead") == 3, 60, "three are dead")  # type: ignore[misc]
        found = reasons(node, queue)
        rejected = found.pop("reject")
        assert found == dict.fromkeys(("fail", "in vain"), ("failed", "ValueError('no luck')"))
        assert rejected[0] == "rejected"
        assert waiting(node, queue) == 0
        (shown,) = desk(node, "show", "fail", "--queue", queue)["letters"]
        assert shown["args"] == ["fail", "no luck"]
        assert "raise ValueError(value)\nValueError: no luck" in shown["traceback"]
        counts = node.wait_for(queue, lambda each: each["failed"] == 4, "counts each once")
        assert counts["retried"] == 1


def test_it_is_replayed_with_all_of_its_retries_and_thrown_away_by_age(node: Node) -> None:
    have_them_fail(node)
    node.configure("alpha", QUEUES__alpha__FAILED="keep")
    node.start()
    cure = node.code / "cure"
    code = f"""
for action, value in (("in vain", "twice"), ("fail without a file", "{cure}"), ("fail", "old")):
    try:
        worker.apply_async((action, value), task_id=action.replace(" ", "-")).get(timeout=60)
    except ValueError:
        print('null') if action == "fail" else None
"""
    node.produce(code, "alpha")
    wait_until(lambda: waiting(node, "alpha.dead") == 3, 60, "three are dead")
    cure.touch()
    assert node.run("dead-letters", "magic", "replay", "in-vain", "fail-without-a-file").returncode == OK
    wait_until(lambda: node.queue("alpha")["retried"] == 2, 60, "it is retried once more")
    wait_until(lambda: waiting(node, "alpha.dead") == 2, 60, "one is cured, the other dead again")
    assert {each["id"]: each["deaths"] for each in letters(node)} == {"in-vain": 2, "fail": 1}
    assert desk(node, "purge", "--yes", "--older-than", "1d") == {"purged": []}
    assert len(desk(node, "purge", "--yes", "--older-than", "0s")["purged"]) == 2
    assert "is no age" in node.run("dead-letters", "magic", "purge", "--older-than", "old").stderr


def test_a_task_that_is_revoked_is_none_while_it_waits_or_runs_or_is_to_be_tried_again(node: Node) -> None:
    have_them_fail(node, WAITING)
    node.configure("alpha", "delta", DEFAULTS__FAILED="keep", DEFAULTS__CONCURRENCY="1", QUEUES__delta__POOL="threads")
    node.start()
    node.wait_until_consuming()
    code = f"""
from celery.exceptions import TaskRevokedError
import os, time
never = f"{node.code}/{{worker.name}}"
calls = ("in vain later", 1), ("wait and fail", never), ("fail", 1)
again, runs, waits = (worker.apply_async(each) for each in calls)
again.revoke()
waits.revoke()
while not os.path.exists(never + "-begun"):
    time.sleep(0.05)
runs.revoke(terminate=True)
said = []
for each in (again, runs, waits):
    try:
        each.get(timeout=60)
    except TaskRevokedError as error:
        said.append(str(error))
print(json.dumps(said))"""
    said = ["revoked", "terminated", "revoked"]
    assert node.produce_at_once(code, ["alpha", "delta"]) == {"alpha": said, "delta": said}
    for queue in ("alpha", "delta"):
        assert node.queue(queue)["failed"] == 0
        assert [waiting(node, each) for each in (queue, f"{queue}.dead")] == [0, 0]


def test_a_worker_that_dies_before_the_ack_leaves_two_letters_and_never_none(node: Node) -> None:
    have_them_fail(node, DIES_BETWEEN)
    node.configure("alpha", DEFAULTS__FAILED="keep", DEFAULTS__POOL="threads", DEFAULTS__PREFETCH="4")
    node.start()
    node.produce(
        "for n in range(20):\n    worker.apply_async(('fail', n), task_id=f'task-{n}')\nprint('null')", "alpha"
    )
    wait_until(lambda: waiting(node, "alpha") == 0 and waiting(node, "alpha.dead") >= 21, 60, "all are dead")
    ids = [each["id"] for each in letters(node)]
    assert (len(set(ids)), len(ids)) == (20, 21)


def test_where_no_copy_is_taken_it_is_a_letter_that_does_not_say_why(node: Node) -> None:
    have_them_fail(node)
    node.configure("alpha", DEFAULTS__FAILED="keep")
    node.start()
    cure = node.code / "begin"
    node.produce(f"worker.apply_async(('wait and fail', '{cure}'), task_id='lost'); print('null')", "alpha")
    node.wait_for("alpha", lambda each: each["active"], "runs it")
    with node.broker.connect(node.vhost) as connection:
        connection.channel().queue_unbind("alpha", "alpha", "alpha")
    cure.touch()
    wait_until(lambda: waiting(node, "alpha.dead") == 1, 60, "it is dead")
    assert reasons(node, "alpha")["lost"][0] == "rejected"
    assert "Task alpha[lost] failed. No copy of it is taken that says why" in node.log.read_text()


def test_so_it_is_for_an_app_with_make_safe(tmp_path: Path, broker: RabbitMQ, vhost: str) -> None:
    project = Adopted(tmp_path, broker, vhost)
    try:
        project.write()
        project.configure("mail", DEFAULTS__FAILED="keep")
        project.start()
        project.wait_until_consuming()
        project.python("import proj\nvalue = proj.mail.apply_async(('x',), task_id='sore').id")
        wait_until(lambda: waiting(project, "mail.safe.dead") == 1, 60, "it is dead")
        (letter,) = json.loads(project.run("dead-letters", "magic", "--json").stdout)["letters"]
        assert (letter["id"], letter["reason"]) == ("sore", "failed")
        assert "FAILED" not in project.run("check", "magic").stdout
    finally:
        project.close()


def test_where_there_are_no_dead_letters_one_line_says_so(project: Project, redis_server: Redis) -> None:
    """Of a Redis it is looked for by `agent check` alone: the worker says it by the same words."""
    (project.code / "proj.py").write_text(PLAIN)
    for url in (redis_server.url, project.url):
        project.variables = {"BROKER": url}
        project.configure(DEFAULTS__FAILED="keep")
        assert project.run("check", "magic").stdout.count("FAILED=keep has no effect") == 1
    project.start()
    project.wait_until_consuming()
    project.python("from proj import fail\nvalue = fail.delay().id")
    project.wait_for("celery", lambda each: each["failed"] == 1, "has failed")
    assert project.log.read_text().count("FAILED=keep has no effect") == 1
