"""What gets past Celery's tracer is one task's failure: told to the caller, acked, in the log, and the queue goes on."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from tests.node import Node
from tests.truth import assert_well
from tests.waiting import wait_until

EVERY_POOL = pytest.mark.parametrize("pool", ["prefork", "threads", "solo"])

ESCAPING = """
import argparse, asyncio, os, sys
import celery
from billiard.exceptions import TimeLimitExceeded, WorkerLostError
from celery.exceptions import WorkerShutdown, WorkerTerminate

def deep():
    raise MemoryError("no room")

def raises(error):
    raise error

RUN = {
    "MemoryError": deep,
    "sys.exit": lambda: sys.exit(3),
    "argparse": lambda: argparse.ArgumentParser("tool").parse_args(["--nobody"]),
    "CancelledError": lambda: raises(asyncio.CancelledError("gone")),
    "KeyboardInterrupt": lambda: raises(KeyboardInterrupt()),
    "GeneratorExit": lambda: raises(GeneratorExit()),
    "WorkerLostError": lambda: raises(WorkerLostError("of another task, whose result was asked for")),
    "TimeLimitExceeded": lambda: raises(TimeLimitExceeded(3)),
    "WorkerShutdown": lambda: raises(WorkerShutdown(3)),
    "WorkerTerminate": lambda: raises(WorkerTerminate(3)),
    "on_failure": lambda: raises(ValueError("of the task")),
    "on_failure, sys.exit": lambda: raises(ValueError("of the task")),
}

class Alpha(celery.Task):
    name = "alpha"

    def run(self, what):
        with open(os.environ["NOTES"], "a") as notes:
            notes.write(what + "\\n")
        if what == "on_retry" and not self.request.retries:
            raise self.retry(countdown=0)
        return RUN.get(what, str)() or "done"

    def before_start(self, task_id, args, kwargs):
        if args[0] == "before_start, sys.exit":
            with open(os.environ["NOTES"], "a") as notes:
                notes.write(args[0] + "\\n")
            sys.exit(3)

    def on_failure(self, exc, task_id, args, kwargs, einfo):
        self.hook("on_failure", args)

    def on_success(self, retval, task_id, args, kwargs):
        self.hook("on_success", args)

    def on_retry(self, exc, task_id, args, kwargs, einfo):
        self.hook("on_retry", args)

    def after_return(self, status, retval, task_id, args, kwargs, einfo):
        self.hook("after_return", args)

    def hook(self, name, args):
        if args[0] == name:
            raise ValueError("of the hook")
        if args[0] == f"{name}, MemoryError":
            raise MemoryError("of the hook")
        if args[0] == f"{name}, sys.exit":
            sys.exit(3)
"""

# What is done, and what the caller is told of it.
TOLD = {
    "MemoryError": "MemoryError: no room",
    "sys.exit": "TaskExit: SystemExit(3)",
    "argparse": "TaskExit: SystemExit(2)",
    "CancelledError": "TaskExit: CancelledError('gone')",
    "KeyboardInterrupt": "TaskExit: KeyboardInterrupt()",
    "GeneratorExit": "TaskExit: GeneratorExit()",
    "WorkerLostError": "WorkerLostError: of another task, whose result was asked for",
    "TimeLimitExceeded": "TimeLimitExceeded: TimeLimitExceeded(3,)",
    "WorkerShutdown": "TaskExit: WorkerShutdown(3)",
    "WorkerTerminate": "TaskExit: WorkerTerminate(3)",
    "before_start, sys.exit": "TaskExit: SystemExit(3)",
    "on_failure": "ValueError: of the task",
    "on_failure, sys.exit": "ValueError: of the task",
    "on_success": "done",
    "on_success, MemoryError": "done",
    "on_success, sys.exit": "done",
    "after_return, MemoryError": "done",
    "after_return, sys.exit": "done",
    "on_retry": "done",
    "nothing": "done",
}
RUNS = {what: 2 if what == "on_retry" else 1 for what in TOLD if what != "nothing"}

SEND_ALL = f"""
told = {{}}
for what in {list(TOLD)!r}:
    result = worker.delay(what)
    try:
        text = result.get(timeout=20)
    except Exception as error:
        text = f"{{type(error).__name__}}: {{error}}"
    told[what] = [result.id, text]
print(json.dumps(told))
"""


@EVERY_POOL
def test_what_a_task_or_its_hooks_raise_is_one_outcome_and_the_queue_goes_on(
    node: Node, tmp_path: Path, pool: str
) -> None:
    notes = tmp_path / "notes"
    (node.code / "greek.py").write_text(ESCAPING)
    node.configure("alpha", DEFAULTS__POOL=pool, DEFAULTS__CONCURRENCY="1")
    node.start(NOTES=str(notes))
    node.wait_until_consuming()
    pid = node.queue("alpha")["pid"]
    told: dict[str, tuple[str, str]] = node.produce(SEND_ALL, "alpha")
    assert {what: text for what, (_, text) in told.items()} == TOLD
    assert Counter(notes.read_text().splitlines()) == {**RUNS, "nothing": 1}
    blamed = [line for line in node.log.read_text().splitlines() if " raised" in line]
    assert [what for what, (task_id, _) in told.items() if not any(task_id in line for line in blamed)] == ["nothing"]
    wait_until(lambda: counts(node) == (len(TOLD) - failures(), failures(), 1), what="all are counted once")
    assert node.queue("alpha")["pid"] == pid
    assert_well(node)
    assert (node.task_ids("alpha"), node.broker.messages("alpha.dead", node.vhost)) == ([], 0)


def failures() -> int:
    return sum(text != "done" for text in TOLD.values())


def counts(node: Node) -> Any:
    queue = node.queue("alpha")
    return queue["succeeded"], queue["failed"], queue["retried"]


# What is raised where the tracer calls neither `run` nor one of the hooks that are watched, and a hook that asks for Reject.
PAST_THE_TRACER = """
import sys
import celery
from celery.exceptions import Reject
from celery.signals import task_prerun, task_success

class Alpha(celery.Task):
    name = "alpha"

    def __call__(self, what):
        if what == "__call__":
            sys.exit(3)
        if what == "__call__, MemoryError":
            raise MemoryError("no room")
        return super().__call__(what)

    def run(self, what):
        return "done"

    def on_success(self, retval, task_id, args, kwargs):
        if args[0] == "on_success, Reject":
            raise Reject("wanted", requeue=False)

@task_prerun.connect
def before(args, **_):
    if args[0] == "task_prerun":
        sys.exit(3)

@task_success.connect
def after(sender, **_):
    if sender.request.args[0] == "task_success":
        sys.exit(3)
"""

TOLD_PAST_THE_TRACER = {
    "__call__": "TaskExit: SystemExit(3)",
    "__call__, MemoryError": "MemoryError: no room",
    "task_prerun": "TaskExit: SystemExit(3)",
    "task_success": "done",
    "on_success, Reject": "done",
    "nothing": "done",
}


@EVERY_POOL
def test_what_gets_past_the_tracer_is_one_failure_and_the_queue_goes_on(node: Node, pool: str) -> None:
    (node.code / "greek.py").write_text(PAST_THE_TRACER)
    node.configure("alpha", DEFAULTS__POOL=pool, DEFAULTS__CONCURRENCY="1")
    node.start()
    node.wait_until_consuming()
    pid = node.queue("alpha")["pid"]
    told = node.produce(SEND_ALL.replace(repr(list(TOLD)), repr(list(TOLD_PAST_THE_TRACER))), "alpha")
    assert {what: text for what, (_, text) in told.items()} == TOLD_PAST_THE_TRACER
    wait_until(
        lambda: node.broker.messages("alpha.dead", node.vhost) == 1, what="what a hook rejected is a dead letter"
    )
    queue = node.queue("alpha")
    assert (queue["pid"], queue["active_count"], node.task_ids("alpha")) == (pid, 0, [])
    assert_well(node)


@EVERY_POOL
def test_a_result_store_whose_library_is_missing_costs_results_and_no_tasks(node: Node, pool: str) -> None:
    (node.code / "redis.py").write_text('raise ImportError("not installed")')
    node.configure("alpha", DEFAULTS__POOL=pool, DEFAULTS__CONCURRENCY="1")
    with node.env_file.open("a") as variables:
        variables.write("CELERY_TASKS_RESULTS=redis://127.0.0.1\n")
    node.start()
    node.wait_until_consuming()
    pid = node.queue("alpha")["pid"]
    told = node.produce(
        "print(json.dumps([worker.delay('return', 1).id, worker.delay('fail', 'so').id, worker.delay('return', 2).id]))",
        "alpha",
    )
    wait_until(lambda: counts(node) == (2, 1, 0), what="all tasks have ended once")
    lost = [line for line in node.log.read_text().splitlines() if "is lost: not installed" in line]
    assert [task_id for task_id in told if not any(task_id in line for line in lost)] == []
    assert (node.queue("alpha")["pid"], node.task_ids("alpha")) == (pid, [])
