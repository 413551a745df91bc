"""What the template finds out before its workers are forked, so that they need not."""

import os
import sys

from agent.guest.work.process import forget_attributes
from tests.node import TASKS, Node

UNANSWERED = """
import _abc, abc

foresight = sys.modules.get("celery_agent_guest.work.foresight")  # in a worker; producers import this too
ASKED = foresight.ASKED if foresight else ()

def is_answered(abstract, kind):
    _, _, refused, when = _abc._get_dump(abstract)
    return when == abc.get_cache_token() and any(each() is kind for each in refused)

UNANSWERED = [f"{abstract.__name__}: {kind.__name__}" for abstract, kinds in ASKED for kind in kinds
              if not is_answered(abstract, kind) and not issubclass(kind, abstract)]

class Unanswered(celery.Task):
    name = "unanswered"

    def run(self):
        return UNANSWERED
"""


def test_a_worker_is_born_with_what_abstract_classes_have_answered(node: Node) -> None:
    (node.code / "greek.py").write_text(TASKS + UNANSWERED)
    node.configure("unanswered")
    node.start()
    node.wait_until_consuming()
    assert node.send("unanswered") == []


def test_that_workers_run_as_root_is_told_once_where_they_do(node: Node) -> None:
    node.configure("alpha", "beta")
    node.start()
    node.wait_until_consuming()
    assert node.log.read_text().count("superuser privileges") == (1 if os.geteuid() == 0 else 0)


def test_the_cache_of_attributes_is_left_without_the_names_that_were_looked_up() -> None:
    class Kind:
        pass

    name = "".join(("looked", "_up"))
    getattr(Kind, sys.intern(name), None)
    before = sys.getrefcount(name)
    forget_attributes()
    assert sys.getrefcount(name) < before
