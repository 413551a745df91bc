"""`agent config`: the settings as they were understood, and no secrets."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from agent.cli.main import main
from agent.errors import FAILURE, OK
from tests.integration.conftest import Configure


def test_config_shows_settings_and_of_what_is_handed_on_only_the_names(
    configure: Configure, capsys: pytest.CaptureFixture[str]
) -> None:
    path = configure(
        "CELERY_AGENT_QUEUES__unique_magic_task__CONCURRENCY=4", RABBITMQ_PWD="hunter2", RABBITMQ_HOST="here"
    )
    assert main(["config", "magic"]) == OK
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == f"# {path}"
    assert "CELERY_AGENT_TASKS=consumer:ActualMagicCeleryTask" in lines
    assert "CELERY_AGENT_DEFAULTS__POOL=prefork  # default" in lines
    assert "CELERY_AGENT_QUEUES__unique_magic_task__CONCURRENCY=4" in lines
    assert lines[-1] == "# handed on to the tasks: RABBITMQ_PWD, RABBITMQ_HOST"


def test_config_as_json_has_the_same(configure: Configure, capsys: pytest.CaptureFixture[str]) -> None:
    path = configure("CELERY_AGENT_QUEUES__unique_magic_task__CONCURRENCY=4", RABBITMQ_PWD="hunter2")
    assert main(["config", "magic", "--json"]) == OK
    value = json.loads(capsys.readouterr().out)
    assert (value["schema"], value["env_file"], value["handed_on"]) == (1, str(path), ["RABBITMQ_PWD"])
    assert value["tasks"] == ["consumer:ActualMagicCeleryTask"]
    assert value["defaults"]["pool"] == "prefork"
    assert value["queues"] == {"unique_magic_task": {"concurrency": 4}}


def test_what_config_prints_is_an_env_file_of_the_same_settings(
    configure: Configure, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    configure("CELERY_AGENT_PRELOAD=json,csv", "CELERY_AGENT_DEFAULTS__TIME_LIMIT=1.5")
    main(["config", "magic"])
    first = capsys.readouterr().out
    (tmp_path / "etc" / "again.env").write_text(first)
    main(["config", "again"])
    second = capsys.readouterr().out
    assert [line.partition("  #")[0] for line in second.splitlines()[1:]] == [
        line.partition("  #")[0] for line in first.splitlines()[1:]
    ]


def test_config_needs_an_instance_or_something_else_to_show(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["config"]) == FAILURE
    assert capsys.readouterr().err == "agent: Name an instance, or ask for --example or --markdown.\n"
