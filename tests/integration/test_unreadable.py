"""An exception that only the process of its task can read is that task's failure, and nothing else."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.node import Node
from tests.truth import assert_well
from tests.waiting import wait_until

# Each raises something else that can't be made again from its pickle in another process, or not be pickled at all.
RAISING = """
import sys
import celery
from celery.exceptions import Ignore, Reject

class Two(Exception):
    def __init__(self, text, other):
        super().__init__(text)

class Declined(ValueError):
    def __init__(self, *, code):
        super().__init__()
        self.code = code

class Odd(str):
    def __reduce__(self):
        raise RuntimeError("not to be pickled")

class Alpha(celery.Task):
    name = "alpha"

    def run(self, what, folder=None):
        if folder is not None:
            sys.path.append(folder)
            from only_here import Hidden, HiddenReject
        match what:
            case "its class is found only here":
                raise Hidden("so")
            case "its cause's class is found only here":
                raise ValueError("so") from Hidden("because")
            case "a group of them":
                raise ExceptionGroup("both", [Hidden("so"), Two("so", 1)])
            case "a retry for it" if not self.request.retries:
                raise self.retry(exc=Hidden("so"), countdown=0)
            case "made of two":
                raise Two("so", 1)
            case "one with attributes":
                raise Declined(code=7)
            case "a reject for what is made of two":
                raise Reject(Two("so", 1), requeue=False)
            case "a reject for a lambda":
                raise Reject(lambda: None, requeue=False)
            case "a reject of a class that is found only here":
                raise HiddenReject("so", requeue=False)
            case "a reject that says no oddly":
                raise Reject("so", requeue=Odd(""))
            case "an ignore with what is made of two":
                raise Ignore(Two("so", 1))
        return "done"
"""

ONLY_HERE = """
from celery.exceptions import Reject

class Hidden(Exception): ...
class HiddenReject(Reject): ...
"""

TOLD = {
    "its class is found only here": "Hidden: so",
    "its cause's class is found only here": "ValueError: so",
    "a group of them": "ExceptionGroup: both (2 sub-exceptions)",
    "a retry for it": "done",
    "made of two": "Two: so",
    "one with attributes": "Declined: 7",
    "a reject for what is made of two": "Reject",
    "a reject for a lambda": "Reject",
    "a reject of a class that is found only here": "Reject",
    "a reject that says no oddly": "Reject",
}
DEAD = sum(text == "Reject" for text in TOLD.values())
IGNORED = "an ignore with what is made of two"  # its caller is told nothing, as ever


@pytest.mark.parametrize("pool", ["prefork", "threads", "solo"])
def test_an_exception_that_the_main_process_can_t_read_is_one_tasks_failure(
    node: Node, tmp_path: Path, pool: str
) -> None:
    folder = tmp_path / "library"
    folder.mkdir()
    (folder / "only_here.py").write_text(ONLY_HERE)
    (node.code / "greek.py").write_text(RAISING)
    node.configure("alpha", DEFAULTS__POOL=pool, DEFAULTS__CONCURRENCY="1")
    node.start()
    node.wait_until_consuming()
    pid = node.queue("alpha")["pid"]
    told = node.produce(
        f"""
worker.delay({IGNORED!r})
told = {{}}
for what in {list(TOLD)!r}:
    try:
        told[what] = worker.delay(what, {str(folder)!r}).get(timeout=20)
    except Exception as error:
        name = type(error).__name__
        told[what] = "Reject" if name == "Reject" else f"{{name}}: {{getattr(error, 'code', error)}}"
        where = "".join(getattr(error, "__notes__", []))
        if name == "Declined" and not ("raise Declined(code=7)" in where and where.endswith("Declined")):
            told[what] += f", but not where: {{where}}"
print(json.dumps(told))
""",
        "alpha",
    )
    assert told == TOLD
    wait_until(lambda: node.broker.messages("alpha.dead", node.vhost) == DEAD, what="the rejected are dead letters")
    queue = node.queue("alpha")
    assert (queue["pid"], queue["active_count"], node.task_ids("alpha")) == (pid, 0, [])
    assert_well(node)
