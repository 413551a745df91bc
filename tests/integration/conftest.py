"""Instances that several modules ask commands about."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from agent.cli.main import main
from tests.integration.bad_input import GOOD, TASKS
from tests.node import Node

Configure = Callable[..., Path]
Finding = dict[str, str]
Check = Callable[[], tuple[int, list[Finding]]]


@pytest.fixture
def configure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Configure:
    """Return a function that writes the env file of instance `magic`, which hosts one good task class."""
    monkeypatch.setenv("CELERY_AGENT_CONFIG_DIR", str(tmp_path / "etc"))
    code = tmp_path / "code"
    code.mkdir()
    (code / "consumer.py").write_text(GOOD)
    (tmp_path / "etc").mkdir()

    def write(*lines: str, **variables: str) -> Path:
        path = tmp_path / "etc" / "magic.env"
        tasks = [] if any(line.startswith("CELERY_AGENT_TASKS=") for line in lines) else [TASKS]
        given = [f"CELERY_AGENT_PATH={code}", *tasks, *lines, *(f"{name}={text}" for name, text in variables.items())]
        path.write_text("\n".join(given) + "\n")
        path.chmod(0o640)
        return path

    return write


@pytest.fixture
def check(capsys: pytest.CaptureFixture[str]) -> Check:
    """Return a function that checks instance `magic` and returns exit status and findings."""

    def run() -> tuple[int, list[Finding]]:
        status = main(["check", "magic", "--json"])
        value = json.loads(capsys.readouterr().out)
        (instance,) = value["instances"]
        assert (value["schema"], instance["instance"], instance["exit_status"]) == (1, "magic", status)
        return status, instance["findings"]

    return run


@pytest.fixture
def alpha(node: Node) -> Node:
    """An instance that hosts alpha and beta and does not run."""
    node.configure("alpha", "beta")
    return node
