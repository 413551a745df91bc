"""What is said of a library that does not suit, by an agent that is installed: it has no checkout beside it."""

import sys
from importlib import metadata
from pathlib import Path

import pytest

from agent.guest import library
from celery_delivery import interface

INSTALL = f"{sys.executable} -m pip install"


@pytest.fixture(autouse=True)
def installed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(library, "SOURCE", tmp_path)


def test_an_old_one_is_brought_up_by_a_command_that_replaces_what_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(interface, "INTERFACE", 0)
    assert (library.misfit() or "").endswith(
        f"Bring it up: {INSTALL} --upgrade 'celery-delivery>=0.1,<0.2' (or its wheel: docs/contracts.md)"
    )


def test_one_that_is_too_new_is_replaced_by_an_older_release_than_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(interface, "INTERFACE", library.INTERFACE + 1)
    monkeypatch.setattr(metadata, "version", {"celery-delivery": "0.1.7"}.__getitem__)
    assert f"{INSTALL} 'celery-delivery>=0.1,<0.2,<0.1.7'" in (library.misfit() or "")


def test_one_that_is_too_new_and_only_lies_on_the_path_has_no_release_to_name(monkeypatch: pytest.MonkeyPatch) -> None:
    def version(name: str) -> str:
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(interface, "INTERFACE", library.INTERFACE + 1)
    monkeypatch.setattr(metadata, "version", version)
    assert f"{INSTALL} 'celery-delivery>=0.1,<0.2'" in (library.misfit() or "")
