"""What importing the library does to a process, and which of its modules others may import."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
LIBRARY = ROOT / "celery_delivery"

# Imports the modules one after another in a fresh interpreter, and prints what each has changed.
IMPORTS = """
import importlib, logging, os, signal, sys, threading
import celery.backends.rpc, celery.worker.consumer, celery.concurrency.prefork, celery.concurrency.solo
import kombu.transport.filesystem, kombu.transport.pyamqp, kombu.pools, kombu.asynchronous

forks = []
register = os.register_at_fork

def registered(**functions):
    if sys._getframe(1).f_globals["__name__"].startswith("celery_delivery"):
        forks.append(functions)
    register(**functions)

os.register_at_fork = registered

def state():
    loggers = [logging.getLogger(), *(each for each in logging.Logger.manager.loggerDict.values() if hasattr(each, "filters"))]
    return {
        "log filters": [(each.name, list(each.filters)) for each in loggers if each.filters],
        "log handlers": [(each.name, handler) for each in loggers for handler in each.handlers if not is_none(handler)],
        "fork hooks": list(forks),
        "transports": dict(kombu.transport.TRANSPORT_ALIASES),
        "signal handlers": [signal.getsignal(number) for number in signal.valid_signals()],
        "wake-up descriptor": signal.set_wakeup_fd(-1),
        "threads": threading.enumerate(),
        "sockets": [each for each in map(target, os.listdir("/proc/self/fd")) if each.startswith("socket:")],
        "environment": dict(os.environ),
        "current app": celery.current_app._get_current_object(),
    }

def is_none(handler):
    return type(handler) is logging.NullHandler  # Celery gives one to each logger that it makes

def target(descriptor):
    try:
        return os.readlink(f"/proc/self/fd/{descriptor}")
    except FileNotFoundError:
        return ""

celery.current_app
for name in sys.argv[1:]:
    before = state()
    importlib.import_module(name)
    for what, value in state().items():
        if value != before[what]:
            print(name, what, value)
"""


def modules() -> list[str]:
    found = (path.relative_to(ROOT).with_suffix("").parts for path in LIBRARY.rglob("*.py"))
    return sorted(".".join(parts).removesuffix(".__init__") for parts in found)


def test_importing_a_module_of_the_library_changes_nothing_else() -> None:
    done = subprocess.run(
        [sys.executable, "-c", IMPORTS, *modules()], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout) == (0, ""), done.stderr


def test_an_effect_of_an_import_would_be_seen(tmp_path: Path) -> None:
    (tmp_path / "celery_delivery_of_old.py").write_text(
        "import logging, os\nos.register_at_fork(after_in_child=print)\nlogging.getLogger('celery').addFilter(print)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", IMPORTS, "celery_delivery_of_old"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    assert [line.split()[1:3] for line in done.stdout.splitlines()] == [["log", "filters"], ["fork", "hooks"]]


def public() -> set[str]:
    """Return the modules that the library's README offers to others."""
    text = (LIBRARY / "README.md").read_text()
    return set(re.findall(r"^\| `(celery_delivery[.a-z_]*)` \|", text, re.MULTILINE))


def imported(code: str) -> Iterator[str]:
    """Yield the modules of the library that some code imports."""
    for node in ast.walk(ast.parse(code)):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("celery_delivery"):
            names = [f"{node.module}.{alias.name}" for alias in node.names]
            yield from (name if name in modules() else str(node.module) for name in names)
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name.startswith("celery_delivery"))


def written(page: Path) -> Iterator[str]:
    """Yield the modules of the library that a page names, in what it tells a reader to write."""
    for name in re.findall(r"(?<![/\w])celery_delivery(?:\.\w+)+", page.read_text()):
        parts = name.split(".")
        found = next(
            (".".join(parts[:end]) for end in range(len(parts), 1, -1) if ".".join(parts[:end]) in modules()), None
        )
        if found is not None:
            yield found


def test_contracts_examples_and_docs_use_only_what_the_library_s_readme_offers() -> None:
    assert public() <= set(modules())
    used = {
        name
        for folder in ("celery_tasks", "examples")
        for path in (ROOT / folder).rglob("*.py")
        for name in imported(path.read_text())
    }
    pages = (
        *ROOT.glob("docs/*.md"),
        *ROOT.glob("examples/**/*.md"),
        ROOT / "README.md",
        ROOT / "celery_tasks/README.md",
    )
    used |= {name for page in pages for name in written(page)}
    assert used
    assert used - public() == set()
