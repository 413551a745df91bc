"""A result store that is away, frozen, refuses, or can't be made here: it costs results, never tasks, and is told of."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import redis

from agent.guest.answer.store import probe
from celery_delivery.apps import create_app_from
from celery_tasks.tasks import SleepTask
from tests.node import Node
from tests.redis import Redis
from tests.waiting import wait_until

POOLS = {"alpha": "solo", "beta": "threads", "gamma": "prefork"}
SETTINGS = """
import os
from celery_tasks.celery_config import *
result_backend = os.environ["STORE"]
"""
LOST = re.compile(r"SUCCESS of task (\S+) could not be stored, and is lost: (.*)")


@pytest.fixture
def server() -> Iterator[Redis]:
    """A Redis that has not been started, and may be stopped."""
    made = Redis()
    yield made
    made.close()


def configure(node: Node, store: str, *queues: str) -> None:
    """Have these queues, by default one for each pool, and results in a store, whatever kind it is."""
    (node.code / "stores.py").write_text(SETTINGS)
    node.variables |= {"STORE": store}  # what celery_tasks says of it is for producers, that know of none: rpc
    pools = {f"QUEUES__{queue}__POOL": pool for queue, pool in POOLS.items() if queue in (queues or POOLS)}
    node.configure(*(queues or POOLS), CELERY_CONFIG="stores", **pools)


def run(node: Node, store: str, *queues: str) -> None:
    configure(node, store, *queues)
    node.start()
    node.wait_until_consuming()


def sent(node: Node, queue: str, count: int) -> list[str]:
    """Send tasks by a producer that knows of no store; return their ids."""
    ids: list[str] = node.produce(f"print(json.dumps([worker.delay('return', n).id for n in range({count})]))", queue)
    return ids


def done(node: Node, queue: str, count: int) -> None:
    """Wait until a queue has run so many tasks; none has failed, and no worker has ended."""
    seen = node.wait_for(queue, lambda each: each["succeeded"] + each["failed"] >= count, f"has run {count} tasks")
    assert (seen["succeeded"], seen["failed"], seen["restarts"]) == (count, 0, 0)


def lost(node: Node) -> dict[str, str]:
    """Return why each result was lost, by the task's id; there is one line for each."""
    found = LOST.findall(node.log.read_text())
    assert len(dict(found)) == len(found)
    return dict(found)


def results_line(node: Node) -> tuple[int, str]:
    """Return the exit status of `agent check`, and what it says of results."""
    told = node.run("check", node.instance)
    (line,) = [line for line in told.stdout.splitlines() if " results " in line]
    return told.returncode, line.removeprefix("magic: ")


def asked(store: str) -> dict[str, Any]:
    """Return what `agent check` finds in the user's interpreter."""
    app = create_app_from([SleepTask], "celery_tasks.celery_config")
    app.conf.result_backend = store
    found = probe(app)
    assert found is not None
    return found


def test_check_tells_of_a_store_that_takes_results_and_leaves_nothing_there(
    node: Node, redis_server: Redis, tmp_path: Path
) -> None:
    configure(node, redis_server.url)
    with redis.Redis(port=redis_server.port) as client:
        before = set(client.keys())
        assert results_line(node) == (0, f"ok    results   {redis_server.url} takes results")
        assert set(client.keys()) <= before  # what other tests have left there runs out meanwhile
    (tmp_path / "results").mkdir()
    for store in (f"file://{tmp_path}/results", f"db+sqlite:///{tmp_path}/results/database"):
        assert asked(store)["fault"] == ""
    assert not list((tmp_path / "results").iterdir())


def test_check_tells_of_a_store_that_takes_no_results_and_what_to_do(node: Node) -> None:
    configure(node, "mongodb://me:sesame@127.0.0.1/")
    status, line = results_line(node)
    assert status == 1
    assert line == (
        "FAIL  results   mongodb://me:**@127.0.0.1/ takes no results: You need to install the pymongo library to use the "
        f"MongoDB backend. Install what it needs for {sys.executable}, or correct CELERY_TASKS_RESULTS. "
        "Tasks run all the same; their results are lost."
    )


def test_what_is_wrong_with_a_store_is_told_apart(server: Redis, tmp_path: Path) -> None:
    def fault(store: str) -> tuple[str, str]:
        found = asked(store)
        assert "sesame" not in str(found)
        return found["fault"], found["text"]

    assert fault(server.url) == ("refused", f"Error 111 connecting to 127.0.0.1:{server.port}. Connection refused.")
    server.start()
    with redis.Redis(port=server.port) as client:
        client.config_set("requirepass", "another")
    wrong = "invalid username-password pair or user is disabled."
    assert fault(server.url.replace("127", ":sesame@127")) == ("refused", wrong)
    server.freeze()
    assert fault(server.url) == ("silent", "no answer in 5 s")
    assert fault("db+mysql://127.0.0.1/results") == ("library", "No module named 'MySQLdb'")
    assert fault("nonsense://")[0] == "library"
    assert fault(f"file://{tmp_path}/nowhere")[0] == "folder"
    assert fault(f"db+sqlite:///{tmp_path}/nowhere/file")[0] == "folder"


def test_a_store_that_is_away_costs_results_and_no_task_on_any_pool(node: Node, server: Redis) -> None:
    run(node, server.url)
    ids = {queue: sent(node, queue, 10) for queue in POOLS}
    for queue in POOLS:
        done(node, queue, 10)
        seen = node.wait_for(queue, lambda each: each["losing"] is not None, "loses results")
        assert seen["losing"] == f"Error 111 connecting to 127.0.0.1:{server.port}. Connection refused."
    assert set(lost(node)) == {each for queue in POOLS for each in ids[queue]}
    assert "alpha: runs its tasks, but their results are lost: Error 111" in node.run("status", node.instance).stdout
    server.start()
    for queue in POOLS:
        assert got(node, queue, sent(node, queue, 2)) == [0, 1]
        node.wait_for(queue, lambda each: each["losing"] is None, "loses no results")
    server.stop()
    for queue in POOLS:
        sent(node, queue, 1)
    for queue in POOLS:
        done(node, queue, 13)
    wait_until(lambda: len(lost(node)) == 33, what="three more results are lost")
    assert {queue: node.queue(queue)["results_lost"] for queue in POOLS} == dict.fromkeys(POOLS, 11)


def test_a_store_that_is_frozen_costs_results_and_no_task_on_any_pool(node: Node, server: Redis) -> None:
    server.start()
    run(node, server.url)
    for queue in POOLS:
        assert got(node, queue, sent(node, queue, 2)) == [0, 1]
    server.freeze()
    for queue in POOLS:
        sent(node, queue, 5)
    for queue in POOLS:
        done(node, queue, 7)
    server.thaw()
    for queue in POOLS:
        wait_until(partial(stores, node, queue), 60, f"{queue} stores results")
    assert "Connection to broker lost" not in node.log.read_text()


def stores(node: Node, queue: str) -> bool:
    """Send a task, and say whether its result is there in time."""
    return got(node, queue, sent(node, queue, 1)) == [0]


def got(node: Node, queue: str, ids: list[str]) -> list[Any]:
    """Return the results of tasks, None for one that does not come, as a process reads them that did not send the tasks."""
    code = f"""
from celery_delivery.apps import create_app_from
app = create_app_from([type(worker)], "stores", contracts="celery_tasks")
def get(task_id):
    try:
        return app.AsyncResult(task_id).get(timeout=5)
    except Exception as error:
        return None
print(json.dumps([get(task_id) for task_id in {ids!r}]))"""
    return list(node.produce(code, queue))


def test_a_task_of_a_chord_has_not_failed_because_redis_is_away(node: Node, server: Redis) -> None:
    server.start()
    run(node, server.url, "alpha")
    node.produce(
        f"""
import celery, os
from celery_delivery.apps import create_app_from
app = create_app_from([type(worker)], "stores", contracts="celery_tasks")
task = app.tasks["alpha"]
print(json.dumps(celery.chord([task.s("wait for a file", "{node.code}/go")] * 2, task.si("return", 3)).apply_async().id))""",
        "alpha",
    )
    node.wait_for("alpha", lambda each: each["active_count"] == 1, "runs the first")
    server.stop()
    (node.code / "go").touch()
    done(node, "alpha", 2)
    assert node.log.read_text().count("could not be counted, so that its chord's body is not sent: Error 111") == 2


def test_a_folder_that_is_not_there_is_used_once_it_is(node: Node, tmp_path: Path) -> None:
    folder = tmp_path / "results"
    run(node, f"file://{folder}")
    ids = {queue: sent(node, queue, 1) for queue in POOLS}
    for queue in POOLS:
        done(node, queue, 1)
    wait_until(lambda: set(lost(node)) == {each for queue in POOLS for each in ids[queue]}, what="the results are lost")
    folder.mkdir()
    for queue in POOLS:
        assert got(node, queue, sent(node, queue, 1)) == [0]
