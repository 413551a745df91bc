"""What is declared is what is locked, with hashes, and nothing of it names a place."""

import re
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
OWN = {"celery-delivery"}  # comes from this repository
LOCKS = sorted((ROOT / "requirements").glob("*.txt"))


def declared(project: str) -> set[str]:
    table = tomllib.loads((ROOT / project / "pyproject.toml").read_text())
    return {re.split(r"[<>=\[; ]", each)[0] for each in table["project"]["dependencies"]} - OWN


def locked(text: str) -> dict[str, str]:
    """Return each pinned requirement with the text that belongs to it."""
    return {
        match[1]: match[0]
        for match in re.finditer(r"^([a-z0-9._-]+)==.*?(?=^[a-z]|\Z)", text, re.MULTILINE | re.DOTALL)
    }


@pytest.mark.parametrize("project", [".", "celery_delivery", "celery_tasks"])
def test_every_dependency_is_locked(project: str) -> None:
    assert declared(project) <= set(locked((ROOT / "requirements/run.txt").read_text()))


@pytest.mark.parametrize("lock", LOCKS, ids=lambda path: path.name)
def test_every_pin_has_hashes(lock: Path) -> None:
    pins = locked(lock.read_text())
    assert pins
    assert [name for name, text in pins.items() if "--hash=sha256:" not in text] == []


@pytest.mark.parametrize("lock", LOCKS, ids=lambda path: path.name)
def test_no_lock_names_an_index(lock: Path) -> None:
    assert not re.search(r"index-url|find-links|https?:|file:", lock.read_text())
