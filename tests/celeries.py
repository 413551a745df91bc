"""Environments with other releases of Celery than the agent's own, as projects have them; made once, from `requirements/`.

    python -m tests.celeries RELEASE    makes that in which tests run with a release; says its interpreter

A project's has Celery and what the project of `examples/existing` needs, and our library. The tests' has behind that all that
`requirements/dev.txt` names; Celery, and what came with it, stand before it.
"""

from __future__ import annotations

import fcntl
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path

ROOT = Path(__file__).parents[1]
RELEASES = ("oldest", "5.5", "5.6", "5.7")
_CACHE = ROOT / ".cache" / "celery"
_PIP = (sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check")


def of_project(release: str) -> Path:
    """Return the interpreter of a project with a release of Celery."""
    return _kept(release, _requirements(release), lambda folder: _install(folder, _requirements(release)))


def of_tests(release: str) -> Path:
    """Return an interpreter that runs tests with a release of Celery; the agent that they start has that one, too."""
    behind = [_site_packages(of_project(release).parents[1]), Path(sysconfig.get_path("purelib"))]
    lines = "".join(f"import site; site.addsitedir({str(each)!r})\n" for each in behind)
    return _kept(
        f"{release}-tests",
        _requirements(release),
        lambda folder: (_site_packages(folder) / "behind.pth").write_text(lines),
    )


def _kept(name: str, requirements: Path, fill: Callable[[Path], object]) -> Path:
    """Return the interpreter of an environment; it is made, and filled, where there is none of these requirements."""
    folder, made_of = _CACHE / name, sha256(requirements.read_bytes()).hexdigest()
    _CACHE.mkdir(parents=True, exist_ok=True)
    with (_CACHE / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # two processes of tests may want it at once
        stamp = folder / "made-of"
        if not stamp.exists() or stamp.read_text() != made_of:
            shutil.rmtree(folder, ignore_errors=True)
            subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder)], check=True)
            fill(folder)
            stamp.write_text(made_of)
    return folder / "bin" / "python"


def _install(folder: Path, requirements: Path) -> None:
    python = str(folder / "bin" / "python")
    subprocess.run([*_PIP, "--python", python, "install", "--require-hashes", "-r", str(requirements)], check=True)
    (_site_packages(folder) / "celery_delivery").symlink_to(ROOT / "celery_delivery")


def _requirements(release: str) -> Path:
    return ROOT / "requirements" / f"celery-{release}.txt"


def _site_packages(folder: Path) -> Path:
    (found,) = folder.glob("lib/python3*/site-packages")
    return found


if __name__ == "__main__":
    sys.stdout.write(f"{of_tests(sys.argv[1])}\n")
