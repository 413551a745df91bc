"""Instances: their names and folders."""

from pathlib import Path

import pytest

from agent.config.instances import Folders, checked_name, folders
from agent.errors import ConfigurationError


@pytest.fixture
def places(tmp_path: Path) -> Folders:
    (tmp_path / "etc").mkdir()
    (tmp_path / "run").mkdir()
    return Folders(config=tmp_path / "etc", runtime=tmp_path / "run")


@pytest.mark.parametrize("name", ["magic", "a", "gpu-1", "node_2.blue", "_x", "9"])
def test_what_systemd_takes_without_escapes_is_a_name(name: str) -> None:
    assert checked_name(name) == name


@pytest.mark.parametrize("name", ["", ".", "..", ".hidden", "-rf", "a/b", "../etc", "a b", "a\n", "ü", "a" * 65, "a@b"])
def test_what_could_leave_the_folder_or_break_a_line_is_no_name(name: str) -> None:
    with pytest.raises(ConfigurationError, match="is no instance name: use 1 to 64 letters"):
        checked_name(name)


def test_the_folders_are_the_usual_ones_unless_the_environment_names_others() -> None:
    assert folders({}) == Folders(Path("/etc/celery-agent"), Path("/run/celery-agent"))
    assert folders({"CELERY_AGENT_CONFIG_DIR": "/a", "CELERY_AGENT_RUNTIME_DIR": "/b"}) == Folders(
        Path("/a"), Path("/b")
    )


def test_an_empty_variable_is_as_good_as_none() -> None:
    assert folders({"CELERY_AGENT_CONFIG_DIR": ""}).config == Path("/etc/celery-agent")


def test_a_relative_folder_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="CELERY_AGENT_RUNTIME_DIR is 'run' .* must be an absolute path"):
        folders({"CELERY_AGENT_RUNTIME_DIR": "run"})


def test_an_instance_has_an_env_file_and_a_runtime_folder(places: Folders) -> None:
    assert places.env_file("magic") == places.config / "magic.env"
    assert places.runtime_folder("magic") == places.runtime / "magic"


def test_instances_are_listed_by_env_file_and_by_runtime_folder(places: Folders) -> None:
    for name in ("b.env", "a.env", "notes.txt", ".env", "a b.env"):
        (places.config / name).touch()
    (places.runtime / "c").mkdir()
    assert places.configured() == ("a", "b")
    assert places.seen() == ("c",)
    assert places.known() == ("a", "b", "c")


def test_folders_that_are_not_there_have_no_instances(tmp_path: Path) -> None:
    assert Folders(tmp_path / "none", tmp_path / "none").known() == ()


def test_an_unknown_instance_is_answered_with_a_similar_one(places: Folders) -> None:
    places.env_file("magic").touch()
    assert str(places.unknown("magik")).endswith("Did you mean 'magic'?")
    assert str(places.unknown("xyz")).endswith("Configured here: magic.")


def test_an_unknown_instance_where_there_is_none_is_told_so(places: Folders) -> None:
    assert str(places.unknown("magic")).endswith("No instance is configured here.")
