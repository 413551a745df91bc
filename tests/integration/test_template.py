"""What the template imports, so that its workers need not: an import after the fork costs each worker its own memory."""

import pytest

from tests.node import TASKS, Node

AT_FORK = "import sys\nLOADED = frozenset(sys.modules) | {__name__}\n"  # preloaded modules are imported last
LATE = """
class Late(celery.Task):
    name = "late"

    def run(self):
        import at_fork
        return sorted(set(sys.modules) - at_fork.LOADED)
"""


@pytest.mark.parametrize("pool", ["solo", "threads", "prefork"])
def test_a_worker_imports_nothing_but_its_tasks(node: Node, pool: str) -> None:
    (node.code / "at_fork.py").write_text(AT_FORK)
    (node.code / "greek.py").write_text(TASKS + LATE)
    node.configure("late", PRELOAD="at_fork", DEFAULTS__POOL=pool)
    node.start()
    node.wait_until_consuming()
    assert node.send("late") == ["greek"]
