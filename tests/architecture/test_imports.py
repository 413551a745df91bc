"""What may import what, asked of import-linter and of a running interpreter."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_the_arrows_between_modules_point_as_agreed() -> None:
    done = subprocess.run(
        [Path(sys.executable).parent / "lint-imports"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout


def test_the_daemon_loads_nothing_that_is_not_its_own() -> None:
    # import-linter does not see what a package's __init__ runs.
    code = "import sys, agent.cli.run; print(*sorted({name.partition('.')[0] for name in sys.modules}))"
    loaded = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.split()
    third_party = {name for name in loaded if name not in sys.stdlib_module_names and not name.startswith("_")}
    assert third_party - {"agent", "sdnotify"} - _started_by_site() == set()
    assert not {"asyncio", "multiprocessing", "http", "email"} & set(loaded)


def test_status_loads_nothing_of_what_decides_or_starts_programs() -> None:
    code = "import sys, agent.cli.main, agent.cli.status; print(*sys.modules)"
    loaded = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.split()
    heavy = {"agent.decide.events", "agent.decide.worker_state", "agent.decide.health", "subprocess", "difflib"}
    assert heavy & set(loaded) == set()


def _started_by_site() -> set[str]:
    """Return what this environment loads into every interpreter: editable installs put finders there."""
    code = "import sys; print(*{name.partition('.')[0] for name in sys.modules})"
    return set(subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split())


def test_packages_run_nothing_when_they_are_imported() -> None:
    assert [str(path) for path in ROOT.glob("agent/**/__init__.py") if path.read_text().strip()] == []
