"""What replaces parts of Celery to watch tasks: it sees here what it sees under `celery worker`."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from agent.guest.work.modules import FIRST, MODULES, SHARED
from tests.node import ROOT, TASKS, Node
from tests.truth import assert_well

WATCHED = """
import sys
import sentry_sdk
from sentry_sdk.transport import Transport

class Notes(Transport):
    def capture_envelope(self, envelope):
        event = envelope.get_event()
        if event is not None:
            error = event["exception"]["values"][-1]
            with open({file!r}, "a") as file:
                file.write(f"{{event['transaction']}}: {{error['type']}}: {{error['value']}}\\n")

def watch(**_):
    if sys.argv[0] != "-c":  # that is the producer
        sentry_sdk.init("http://key@127.0.0.1/1", transport=Notes)
"""
WAYS = {
    "in a preload": ("import watched; watched.watch()", ""),
    "in the task module": ("", "import watched; watched.watch()\n"),
    "at a signal": ("", "import watched\nfrom celery import signals\nsignals.celeryd_init.connect(watched.watch)\n"),
}
LOADED = """
import json, sys
print(json.dumps(sorted(sys.modules)))
sys.exit()
"""
IMPORTING = """
import importlib, json, sys
first, later = json.loads(sys.argv[1])
loaded = []
for names in (first, later):
    for name in names:
        importlib.import_module(name)
    loaded.append(sorted(sys.modules))
print(json.dumps(loaded))
"""
PACKAGES = ("celery", "kombu", "billiard", "amqp", "vine")
EMPTY = {"celery.apps", "celery.contrib"}  # packages without a word of their own


# Each way on one pool, and each pool by the way that most people take.
@pytest.mark.parametrize(
    ("way", "pool"),
    [*((way, "threads") for way in WAYS), ("in the task module", "solo"), ("in the task module", "prefork")],
)
def test_sentry_is_told_of_a_failed_task_once(node: Node, way: str, pool: str) -> None:
    events = node.code / "events"
    preload, imports = WAYS[way]
    (node.code / "watched.py").write_text(WATCHED.format(file=str(events)))
    (node.code / "early.py").write_text(preload)
    (node.code / "greek.py").write_text(imports + TASKS)
    node.configure("alpha", PRELOAD="early", DEFAULTS__POOL=pool)
    node.start()
    node.wait_until_consuming()
    node.produce("worker.delay('fail', 'no stock').get(timeout=60, propagate=False); print('null')", "alpha")
    assert node.queue("alpha")["failed"] == 1
    assert_well(node)
    assert node.stop() == 0
    assert events.read_text() == "alpha: ValueError: no stock\n"


def test_the_template_imports_first_what_celery_has_imported_before_the_application(tmp_path: Path) -> None:
    (tmp_path / "application.py").write_text(LOADED)
    before = set()
    for pool in ("solo", "threads", "prefork"):
        celery = [sys.executable, "-m", "celery", "-A", "application", "worker", "--pool", pool]
        done = subprocess.run(celery, cwd=tmp_path, stdout=subprocess.PIPE, check=True, timeout=60)
        before |= _of_celery(json.loads(done.stdout))
    names = json.dumps((FIRST, (*MODULES, *SHARED)))
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-c", IMPORTING, names], env=environment, stdout=subprocess.PIPE, check=True, timeout=60
    )
    first, all_of_them = map(_of_celery, json.loads(done.stdout))
    assert first == (all_of_them & before) - EMPTY


def _of_celery(modules: list[str]) -> set[str]:
    return {name for name in modules if name.partition(".")[0] in PACKAGES}
