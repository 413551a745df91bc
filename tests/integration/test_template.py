"""The template: what it imports, so that its workers need not, and what it refuses to be forked with."""

import os
import socket
import sys
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from agent.guest.messages import LARGEST, Prepare, Prepared, decode, encode
from agent.guest.spec import TemplateSpec
from agent.run.children import Children
from agent.run.template_process import CONTROL, LAUNCH
from tests.node import ROOT, TASKS, Node

AT_FORK = "import sys\nLOADED = frozenset(sys.modules) | {__name__}\n"  # preloaded modules are imported last
LATE = """
class Late(celery.Task):
    name = "late"

    def run(self):
        import at_fork
        return sorted(set(sys.modules) - at_fork.LOADED)
"""
C_THREADS = """
import ctypes
libc = ctypes.CDLL(None)
for _ in range(2):
    libc.pthread_create(ctypes.byref(ctypes.c_ulong()), None, libc.pause, None)
"""
PYTHON_THREAD = """
import threading
threading.Thread(target=threading.Event().wait, name="refresher", daemon=True).start()
"""
ENDED_THREADS = """
import threading
for _ in range(20):
    thread = threading.Thread(target=lambda: None)
    thread.start()
    thread.join()
"""
FORK = "and a process that has threads can't be forked safely. Leave the module out."


@dataclass(frozen=True)
class Started:
    """What became of a template: whether it was prepared, what it printed, and its exit status where it ended."""

    prepared: bool
    printed: str
    status: int | None


class Templates:
    """Starts real templates in a folder of user code, without a daemon."""

    def __init__(self, code: Path) -> None:
        self.code = code
        environment = {"PATH": os.environ["PATH"], "PYTHONWARNINGS": "ignore"}  # Celery warns of root
        self.spec = TemplateSpec(sys.executable, path=(str(code),), environment=tuple(environment.items()))
        (code / "celery_tasks").symlink_to(ROOT / "celery_tasks")

    def start(self, *preload: str, **environment: str) -> Started:
        """Start one, wait until it is prepared or has ended, and end it."""
        spec = replace(self.spec, preload=preload, environment=())
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        output = self.code / "stderr"
        with ours, theirs, output.open("wb") as stderr:
            ours.send(encode(Prepare(spec, "magic")))
            pid = Children().spawn(
                [spec.python, "-P", LAUNCH, "work.template"],
                {**dict(self.spec.environment), **environment},
                {CONTROL: theirs.fileno(), 2: stderr.fileno()},
                lambda status: None,
            )
            theirs.close()
            datagram = ours.recv(LARGEST)
            if datagram:
                assert isinstance(decode(datagram), Prepared)
                ours.close()
            _, status = os.waitpid(pid, 0)
        ended = None if datagram else os.waitstatus_to_exitcode(status)
        return Started(bool(datagram), output.read_text(), ended)


@pytest.fixture
def templates(tmp_path: Path) -> Templates:
    return Templates(tmp_path)


@pytest.mark.parametrize("pool", ["solo", "threads", "prefork"])
def test_a_worker_imports_nothing_but_its_tasks(node: Node, pool: str) -> None:
    (node.code / "at_fork.py").write_text(AT_FORK)
    (node.code / "greek.py").write_text(TASKS + LATE)
    node.configure("late", PRELOAD="at_fork", DEFAULTS__POOL=pool)
    node.start()
    node.wait_until_consuming()
    assert node.send("late") == ["greek"]


@pytest.mark.parametrize(
    ("code", "names"), [(C_THREADS, "2 of agent-template"), (PYTHON_THREAD, "refresher")], ids=["C", "Python"]
)
def test_a_preload_that_leaves_threads_is_refused_with_its_name_and_theirs(
    templates: Templates, code: str, names: str
) -> None:
    (templates.code / "threaded.py").write_text(code)
    line = f"template: CELERY_AGENT_PRELOAD names 'threaded', but importing it starts threads ({names}), {FORK}\n"
    assert templates.start("json", "threaded") == Started(prepared=False, printed=line, status=78)


def test_a_preload_whose_threads_have_ended_is_forked_from(templates: Templates) -> None:
    (templates.code / "threaded.py").write_text(ENDED_THREADS)
    assert templates.start("threaded").prepared


def test_a_template_that_ends_leaves_what_its_modules_made_to_its_workers(templates: Templates) -> None:
    ended = templates.code / "ended"
    (templates.code / "leaving.py").write_text(f"import atexit\natexit.register(open, {str(ended)!r}, 'w')\n")
    assert templates.start("leaving").prepared
    assert not ended.exists()


def test_a_preload_that_loads_openblas_is_told_how_it_starts_no_threads(templates: Templates) -> None:
    library = templates.code / "libopenblas.so"
    library.write_bytes(Path("/proc/self/exe").read_bytes()[:4096])
    loads = f"import mmap\nfile = open({str(library)!r}, 'r+b')\nlibrary = mmap.mmap(file.fileno(), 0)\n"
    (templates.code / "threaded.py").write_text(loads + C_THREADS)
    assert "set OPENBLAS_NUM_THREADS=1 in the env file" in templates.start("threaded").printed
    assert "OPENBLAS_NUM_THREADS" not in templates.start("threaded", OPENBLAS_NUM_THREADS="1").printed


def test_a_preload_that_opens_a_database_is_refused_with_its_name_and_the_file(templates: Templates) -> None:
    file = templates.code / "shop.db"
    (templates.code / "shop.py").write_text(f"import sqlite3\nDATABASE = sqlite3.connect({str(file)!r})\n")
    line = (
        f"template: CELERY_AGENT_PRELOAD names 'shop', but importing it opens the file {file} for reading and writing, "
        "which the forked workers would all use at once. Open it where it is first used, or leave the module out.\n"
    )
    assert templates.start("json", "shop") == Started(prepared=False, printed=line, status=78)


def test_settings_that_can_not_be_used_are_not_told_by_the_template_too(templates: Templates) -> None:
    assert templates.start(RABBITMQ_PORT="many") == Started(prepared=True, printed="", status=None)


@pytest.mark.parametrize(
    ("code", "failure"),
    [
        ("raise ValueError('no licence')", "ValueError: no licence"),
        ("import sys\nsys.exit(3)", "SystemExit: 3"),
        ("import nampy", "ModuleNotFoundError: No module named 'nampy'"),
    ],
)
def test_a_preload_that_can_not_be_imported_is_told_on_one_line_and_workers_are_forked_without(
    templates: Templates, code: str, failure: str
) -> None:
    (templates.code / "broken.py").write_text(code)
    line = f"template: broken could not be preloaded: {failure}\n"
    assert templates.start("broken") == Started(prepared=True, printed=line, status=None)


@pytest.mark.parametrize(
    ("interface", "words"), [("INTERFACE = 0", "has interface 0"), ("INTERFACE = 99", "newer than"), ("", "can't be")]
)
def test_a_library_that_does_not_suit_is_told_on_one_line_before_any_of_it_is_imported(
    templates: Templates, interface: str, words: str
) -> None:
    library = templates.code / "celery_delivery"
    library.mkdir()
    (library / "__init__.py").write_text("")
    (library / "interface.py").write_text(interface)
    started = templates.start()
    assert started.status == 78
    assert started.printed.startswith(f"template: {sys.executable} can't be used: its celery_delivery ")
    assert words in started.printed
    assert started.printed.count("\n") == 1


def test_an_interpreter_without_celery_is_told_on_one_line(templates: Templates) -> None:
    (templates.code / "celery.py").write_text("import no_such_celery")
    started = templates.start()
    assert started.status == 78
    assert started.printed.startswith(f"template: {sys.executable} can't be used: ")
    assert started.printed.count("\n") == 1
