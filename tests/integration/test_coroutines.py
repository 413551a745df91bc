"""Tasks that are coroutines: run on one event loop of their process, and else as tasks that are functions."""

from __future__ import annotations

import os
import signal
from collections import Counter
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tests.node import Node
from tests.truth import assert_well
from tests.waiting import wait_until

pytestmark = pytest.mark.celery

EVERY_POOL = pytest.mark.parametrize("pool", ["prefork", "threads", "solo"])
CROWD = 100

TASKS = (
    f"CROWD = {CROWD}"
    """
import asyncio, os, time
import celery
from celery import current_task
from celery.exceptions import Ignore, Reject
from billiard.exceptions import SoftTimeLimitExceeded
from celery.utils.log import get_task_logger

log = get_task_logger(__name__)
LOCK = asyncio.Lock()
present = loops = 0
gathered = None

def note(word):
    with open(os.environ["NOTES"], "a") as notes:
        notes.write(word + "\\n")

async def who():
    await asyncio.sleep(0.01)
    return current_task.request.id

class Alpha(celery.Task):
    name = "alpha"

    async def run(self, action="back", value=None):
        return await getattr(self, action)(value)

    async def back(self, value):
        return value

    async def crowd(self, _):
        global present, gathered
        present += 1
        gathered = gathered or asyncio.Event()
        if present == CROWD:
            gathered.set()
        log.warning("before")
        await gathered.wait()
        log.warning("after")
        child = asyncio.create_task(who())
        seen = {self.request.id, current_task.request.id, await child, await asyncio.to_thread(lambda: self.request.id)}
        seen |= set(await asyncio.gather(who(), who()))
        return [len(seen), seen.pop() == self.request.id]

    async def loop(self, _):
        async with LOCK:  # bound to the loop where it is waited for
            await asyncio.sleep(0.01)
        global first
        first = globals().get("first", asyncio.get_running_loop())
        return [os.getpid(), first is asyncio.get_running_loop(), self.request.id is not None]

    async def retry_once(self, value):
        if self.request.retries == 0:
            raise self.retry(countdown=0)
        return self.request.retries

    async def fail(self, value):
        await asyncio.sleep(0)
        raise ValueError(value)

    async def cancel(self, value):
        raise asyncio.CancelledError(value)

    async def wait_for(self, value):
        note("run")
        try:
            while not os.path.exists(value):
                await asyncio.sleep(0.05)
        finally:
            await asyncio.sleep(0)
            note("finally")
        return value
    async def reject(self, value):
        raise Reject(value, requeue=False)

    async def ignore(self, value):
        raise Ignore()

    async def exit(self, value):
        raise SystemExit(3)

    async def be_late(self, value):
        try:
            await asyncio.sleep(600)
        except SoftTimeLimitExceeded:
            async with asyncio.timeout(60):
                await asyncio.sleep(0.01)
            return "caught"

    async def be_too_late(self, value):
        async with asyncio.TaskGroup() as group:
            group.create_task(asyncio.sleep(600))

    async def leave(self, value):
        self.left = asyncio.create_task(self.wait_for(value))
        await asyncio.sleep(0.1)

    async def block(self, value):
        time.sleep(value)
        return value

    async def hold(self, value):
        while not os.path.exists(value):
            await asyncio.sleep(0.05)

class Beta(celery.Task):
    name = "beta"
    queue = "alpha"

    def run(self, action="back", value=None):
        return [os.getpid(), self.request.id == current_task.request.id, asyncio.run(who()) == self.request.id]
"""
)


@pytest.fixture
def coroutines(node: Node) -> Node:
    (node.code / "greek.py").write_text(TASKS)
    node.variables["NOTES"] = str(node.code / "notes")
    return node


def run(node: Node, *tasks: str, **settings: str) -> None:
    node.configure(
        **{f"DEFAULTS__{name}": value for name, value in settings.items()}, TASKS=",".join(tasks or ["greek:Alpha"])
    )
    node.start()
    node.wait_until_consuming()


def results(node: Node, sending: str, count: int) -> Any:
    return node.produce(
        f"sent = [{sending} for _ in range({count})]\nprint(json.dumps([each.get(timeout=60) for each in sent]))",
        "alpha",
    )


def test_a_hundred_wait_at_once_and_each_knows_who_it_is(coroutines: Node) -> None:
    run(coroutines, POOL="threads", CONCURRENCY=str(CROWD))
    assert results(coroutines, "worker.delay('crowd')", CROWD) == [[1, True]] * CROWD
    said = coroutines.log.read_text()
    for word in ("before", "after"):
        ids = Counter(
            line.partition("alpha[")[2].partition("]")[0] for line in said.splitlines() if line.endswith(word)
        )
        assert set(ids.values()) == {1}
        assert len(ids) == CROWD
    assert_well(coroutines)


@EVERY_POOL
def test_what_is_bound_to_the_loop_lasts(coroutines: Node, pool: str) -> None:
    run(coroutines, "greek:Alpha", "greek:Beta", POOL=pool, CONCURRENCY="1")
    assert len({tuple(each) for each in results(coroutines, "worker.delay('loop')", 5)}) == 1


OUTCOMES = {
    "back": "7",
    "retry_once": "1",
    "fail": "ValueError: 7",
    "cancel": "TaskExit: CancelledError(7)",
    "exit": "TaskExit: SystemExit(3)",
    "be_late": "'caught'",
    "be_too_late": "SoftTimeLimitExceeded: SoftTimeLimitExceeded()",
    "reject": "Reject: ('7', False)",
}


@EVERY_POOL
def test_it_ends_as_a_function_would(coroutines: Node, pool: str) -> None:
    node = coroutines
    run(node, POOL=pool, CONCURRENCY="1" if pool == "solo" else "4")
    code = f"""
def outcome(result):
    try:
        return repr(result.get(timeout=60))
    except Exception as error:
        return f"{{type(error).__name__}}: {{error}}"
sent = {{action: worker.apply_async((action, 7), soft_time_limit=2) for action in {list(OUTCOMES)!r}}}
worker.delay("ignore")
print(json.dumps({{action: outcome(result) for action, result in sent.items()}}))"""
    assert node.produce(code, "alpha") == OUTCOMES
    wait_until(lambda: node.broker.messages("alpha", node.vhost) == 0, 30, "all are acked")
    assert node.broker.messages("alpha.dead", node.vhost) == 1
    said = node.log.read_text()
    assert "in fail" in said.partition("Traceback (most recent call last)")[2]
    assert "Task alpha[" in said
    assert_well(node)


@EVERY_POOL
def test_a_cold_shutdown_cancels_it_and_gives_it_back(coroutines: Node, pool: str) -> None:
    node = coroutines
    file, notes = node.code / "go", node.code / "notes"
    run(node, POOL=pool, CONCURRENCY="1" if pool == "solo" else "2", WARM_TIMEOUT="1", COLD_TIMEOUT="30")
    for _ in range(3):
        node.send_and_leave("alpha", "wait_for", str(file))
    at_once = 1 if pool == "solo" else 2
    node.wait_for("alpha", lambda queue: queue["active_count"] == at_once, "runs what it can")
    assert node.stop() == 0
    assert Counter(notes.read_text().split()) == {"run": at_once, "finally": at_once}
    assert node.broker.messages("alpha", node.vhost) == 3
    said = node.log.read_text()
    file.touch()
    node.start()
    node.wait_until_consuming()
    wait_until(lambda: notes.read_text().count("finally") == at_once + 3, 60, "each is done")
    assert "CRITICAL" not in said


def has_begun(notes: Path, count: int) -> bool:
    return notes.exists() and notes.read_text().count("run") == count


def test_those_that_a_killed_worker_had_run_again(coroutines: Node) -> None:
    node = coroutines
    run(node, POOL="threads", CONCURRENCY="10")
    file, notes = node.code / "go", node.code / "notes"
    code = f"""
sent = [worker.delay("wait_for", {str(file)!r}) for _ in range(10)]
print("null", flush=True)
input()
print(json.dumps([each.get(timeout=60) for each in sent]))"""
    with node.producing(code, "alpha") as producer:
        wait_until(partial(has_begun, notes, 10), 60, "each waits")
        os.kill(node.pids()["alpha"], signal.SIGKILL)
        wait_until(partial(has_begun, notes, 20), 60, "each waits, though the first was taken alone")
        os.kill(node.pids()["alpha"], signal.SIGKILL)
        wait_until(partial(has_begun, notes, 21), 60, "one waits alone")
        file.touch()
        out, errors = producer.communicate("\n", timeout=120)
    assert producer.returncode == 0, errors
    assert out.split("\n", 1)[1].count(str(file)) == 10


def test_who_blocks_the_loop_is_named_in_the_log(coroutines: Node) -> None:
    node = coroutines
    run(node, POOL="threads", CONCURRENCY="2")
    file = node.code / "go"
    waiting = "worker.delay('hold', " + repr(str(file)) + ")"
    node.produce(f"{waiting}; print(json.dumps(worker.delay('block', 12).get(timeout=60)))", "alpha")
    (line,) = [line for line in node.log.read_text().splitlines() if "has blocked the event loop" in line]
    assert "ERROR" in line
    assert "time.sleep(value)" in node.log.read_text()
    file.touch()
    wait_until(lambda: "The event loop turns again" in node.log.read_text(), 30, "the log says that it goes on")


def test_one_that_outlasts_its_hard_limit_is_given_back_where_no_process_can_be_killed(coroutines: Node) -> None:
    run(coroutines, POOL="threads", CONCURRENCY="2")
    waiting = f"worker.apply_async(('wait_for', {str(coroutines.code / 'go')!r}), time_limit=0.5)"
    text = coroutines.produce(f"print(json.dumps(str({waiting}.get(timeout=60, propagate=False))))", "alpha")
    assert "TimeLimitExceeded(0.5" in text
    assert Counter((coroutines.code / "notes").read_text().split()) == {"run": 5, "finally": 5}
    wait_until(lambda: coroutines.broker.messages("alpha.dead", coroutines.vhost) == 1, 30, "it is a dead letter")


@EVERY_POOL
def test_what_it_leaves_running_is_cancelled_when_the_process_ends(coroutines: Node, pool: str) -> None:
    run(coroutines, POOL=pool, CONCURRENCY="1")
    coroutines.send("alpha", "leave", "/nowhere")
    assert coroutines.stop() == 0
    assert (coroutines.code / "notes").read_text() == "run\nfinally\n"
