"""The role `release`: what it refuses before anything of a release reaches a host.

It is played dry and on this machine, with a release for a Python that no host has: where it refuses nothing, it ends there.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.node import ROOT

ROLES = ROOT / "deploy/ansible/roles"
ACCEPTED = "is built for Python none"


def test_a_release_is_taken_as_it_was_built(tmp_path: Path) -> None:
    digest = build(tmp_path)
    assert ACCEPTED in play(tmp_path, release_sha256=digest)


def wheel_and_requirements(folder: Path) -> None:
    (folder / "wheels.tar").write_text("other wheels")
    (folder / "requirements.txt").write_text("a==1 --hash=sha256:of-the-other\n")


def a_unit(folder: Path) -> None:
    (folder / "systemd/celery-agent@.service").write_text("[Service]\nUser=root\n")


def all_but_the_name(folder: Path) -> None:
    a_unit(folder)
    describe(folder, name="1-000000000000")


@pytest.mark.parametrize("change", [wheel_and_requirements, all_but_the_name])
def test_a_release_that_was_changed_is_refused(tmp_path: Path, change: Callable[[Path], None]) -> None:
    build(tmp_path)
    change(tmp_path)
    assert f"{tmp_path} is not what was built" in play(tmp_path)


def test_a_release_in_the_place_of_another_is_refused_where_the_inventory_has_the_hash(tmp_path: Path) -> None:
    digest = build(tmp_path)
    a_unit(tmp_path)
    describe(tmp_path)
    assert f"release_sha256 is {digest}. Build it anew" in play(tmp_path, release_sha256=digest)


def build(folder: Path) -> str:
    """Make a release of words; return its SHA-256."""
    (folder / "systemd").mkdir()
    (folder / "systemd/celery-agent@.service").write_text("[Service]\n")
    (folder / "requirements.txt").write_text("a==1 --hash=sha256:of-a\n")
    (folder / "wheels.tar").write_text("wheels")
    return describe(folder)


def describe(folder: Path, name: str | None = None) -> str:
    """Write release.json as build-release does; return the SHA-256."""
    command = [sys.executable, str(ROLES / "release/files/digest.py"), str(folder)]
    digest = subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    manifest = {"name": name or f"1-{digest[:12]}", "python": "none", "sha256": digest}
    (folder / "release.json").write_text(json.dumps(manifest))
    return digest


def play(folder: Path, **variables: str) -> str:
    """Play the role, which must fail; return what it printed, without line breaks."""
    playbook = folder.with_suffix(".yml")
    roles = [{"role": "release", "release_folder": str(folder), **variables}]
    playbook.write_text(json.dumps([{"hosts": "all", "connection": "local", "gather_facts": False, "roles": roles}]))
    command = [str(Path(sys.executable).with_name("ansible-playbook")), "--check", "--inventory", "localhost,"]
    settings = {"ANSIBLE_ROLES_PATH": str(ROLES), "ANSIBLE_NOCOLOR": "1", "ANSIBLE_PYTHON_INTERPRETER": sys.executable}
    environment = {**os.environ, **settings, "HOME": str(folder.parent)}
    done = subprocess.run(
        [*command, str(playbook)],
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode != 0
    return re.sub(r"\s+", " ", done.stdout + done.stderr)
