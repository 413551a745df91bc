"""Contracts on three queues that two instances host, and workflows between them."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.node import ROOT, Node
from tests.producers import start
from tests.rabbitmq import RabbitMQ

CONTRACTS = """
import celery

class AddTask(celery.Task):
    name = "add"

    def run(self, *numbers): ...

class TwiceTask(celery.Task):
    name = "twice"

    def run(self, number): ...

class NoteTask(celery.Task):
    name = "note"
    queue = "notes"

    def run(self, value, file): ...

class OuterTask(celery.Task):
    name = "outer"

    def run(self, form): ...

class UnhostedTask(celery.Task):
    name = "unhosted"

    def run(self, *values): ...
"""
# A contract in a module that nobody imports.
MORE_CONTRACTS = """
import celery

class NegateTask(celery.Task):
    name = "negate"

    def run(self, number): ...
"""
TASKS = """
import os, time
import os
from celery import chain, chord, group, signature
from celery.result import allow_join_result
from celery_tasks.more import NegateTask
from celery_tasks.tasks import AddTask, NoteTask, OuterTask, TwiceTask, UnhostedTask
from celery_tasks.utils import create_worker_from

class Add(AddTask):
    def run(self, *numbers):
        flat = [each for given in numbers for each in (given if isinstance(given, list) else [given])]
        if min(flat) < 0:
            raise ValueError("negative")
        return sum(flat)

class Twice(TwiceTask):
    def run(self, number):
        if number == 40 and self.request.retries < 2:
            raise self.retry(countdown=1)
        if number == 50:
            raise self.replace(signature("add").clone((25, 75)))
        if number == 60:
            raise self.replace(chain(signature("add").clone((1, 2)), signature("twice")))
        if number == 70:
            raise self.replace(group(signature("add").clone((1,)), signature("twice").clone((2,))))
        return 2 * number

class Negate(NegateTask):
    def run(self, number):
        return -number

class Note(NoteTask):
    def run(self, value, file):
        with open(f"{file}.new", "w") as notes:
            notes.write(str(value))
        os.rename(f"{file}.new", file)
        return value

class Outer(OuterTask):
    def run(self, form):
        with allow_join_result():
            return outcome(self.app, form)

class Unhosted(UnhostedTask):
    def run(self, *values):
        return list(values)
"""
OUTCOME = """
import os
from celery import chain, chord, group, signature
from celery.canvas import chunks, xstarmap

def outcome(app, form):
    def s(name, *args, **kwargs):
        return signature(name, args=args, kwargs=kwargs)
    def get(result):
        return result.get(timeout=30)
    names = {"app": app, "s": s, "chain": chain, "chord": chord, "group": group, "get": get, "noted": noted}
    try:
        return eval(form, {**names, "chunks": chunks, "starmap": xstarmap})
    except Exception as error:
        return f"{type(error).__name__}: {error}"

def noted(send, file):
    import os, time
    if os.path.exists(file):
        os.remove(file)
    sent = send()
    end = time.monotonic() + 30
    while not os.path.exists(file) and time.monotonic() < end:
        time.sleep(0.05)
    text = open(file).read() if os.path.exists(file) else "nothing"
    return "its id" if text == sent.id else text
"""
HOSTED = {"first": ("Add", "Outer"), "second": ("Twice", "Note", "Negate")}


@contextmanager
def instances(folder: Path, broker: RabbitMQ, pool: str, **variables: str) -> Iterator[tuple[Node, Node]]:
    """Two instances that run, of a virtual host of their own; `variables` are for them and for producers."""
    with prepared(folder, broker, pool, **variables) as nodes:
        for node in nodes:
            node.start()
        for node in nodes:
            node.wait_until_consuming()
        yield nodes


@contextmanager
def prepared(folder: Path, broker: RabbitMQ, pool: str, **variables: str) -> Iterator[tuple[Node, Node]]:
    """Two instances that do not run yet."""
    vhost = f"test-{uuid.uuid4().hex[:12]}"
    broker.add_vhost(vhost)
    first, second = (_instance(folder / name, broker, vhost, name, pool, variables) for name in HOSTED)
    nodes = (first, second)
    try:
        yield nodes
    finally:
        for node in nodes:
            node.close()
        broker.delete_vhost(vhost)


def _instance(folder: Path, broker: RabbitMQ, vhost: str, name: str, pool: str, variables: dict[str, str]) -> Node:
    folder.mkdir()
    node = Node(folder, broker, vhost, name)
    node.variables |= variables
    share(node)
    tasks = ",".join(f"flows:{each}" for each in HOSTED[name])
    node.configure(TASKS=tasks, DEFAULTS__POOL=pool, DEFAULTS__CONCURRENCY="1" if pool == "solo" else "2")
    return node


def share(node: Node) -> None:
    """Write the contracts, and what implements them, into an instance's code."""
    shared = node.code / "celery_tasks"
    shared.unlink()
    shutil.copytree(ROOT / "celery_tasks", shared, ignore=shutil.ignore_patterns("__pycache__", "*.egg-info", "build"))
    (shared / "tasks.py").write_text(CONTRACTS)
    (shared / "more.py").write_text(MORE_CONTRACTS)
    (node.code / "flows.py").write_text(TASKS + OUTCOME)
    (node.code / "calling.py").write_text(OUTCOME)  # for producers, which implement nothing


def outcomes(node: Node, *forms: str) -> dict[str, Any]:
    """Send each form from one producer that knows contracts only; return what became of it."""
    return _produced(node, f"calling.outcome(app, form) for form in {forms!r}")


def outcomes_in_a_task(node: Node, *forms: str) -> dict[str, Any]:
    """Send each form from a task; return what became of it."""
    return _produced(node, f"outer.delay(form).get(timeout=60) for form in {forms!r}")


def produce(node: Node, code: str) -> Any:
    """Run a producer's code to its end, beside the contracts; return the JSON that it prints."""
    with started(node, code) as producer:
        try:
            out, errors = producer.communicate(timeout=400)
        finally:
            producer.kill()
    assert producer.returncode == 0, errors
    return json.loads(out)


def started(node: Node, code: str) -> subprocess.Popen[str]:
    """Start a producer beside the contracts."""
    script = f"import json\nfrom celery_tasks.utils import create_worker_from\n{code}"
    return start(script, {**os.environ, "PYTHONPATH": str(node.code), **node.variables}, node.code)


def _produced(node: Node, calls: str) -> dict[str, Any]:
    code = (
        "import calling\nfrom celery_tasks.tasks import OuterTask\napp, outer = create_worker_from(OuterTask)\n"
        f"print(json.dumps({{form: {calls}}}))"
    )
    found: dict[str, Any] = produce(node, code)
    return found
