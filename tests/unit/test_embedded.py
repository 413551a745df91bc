"""The embedded broker: which folder a setting means, and who may use it."""

from __future__ import annotations

import os
import stat
import tempfile
from pathlib import Path

import pytest

from celery_tasks.embedded import EmbeddedBrokerError, folder, settings


def test_without_the_setting_there_is_none() -> None:
    assert folder("") is None


def test_its_folder_is_one_per_user_unless_it_is_named() -> None:
    assert folder("embedded") == Path(tempfile.gettempdir()) / f"celery-tasks-{os.getuid()}"
    assert folder("embedded:///srv/broker") == Path("/srv/broker")


@pytest.mark.parametrize("setting", ["embed", "embedded:", "embedded://", "embedded://broker", "EMBEDDED", "memory://"])
def test_another_setting_is_refused(setting: str) -> None:
    with pytest.raises(EmbeddedBrokerError) as refused:
        folder(setting)
    assert str(refused.value) == (
        f"CELERY_TASKS_BROKER is {setting!r}, but must be 'embedded' or 'embedded:///absolute/folder'; "
        "unset it to use RabbitMQ"
    )


def test_its_folders_are_this_user_s_alone(tmp_path: Path) -> None:
    conf = settings(tmp_path / "below" / "broker")
    made = [tmp_path / "below" / "broker", *(tmp_path / "below" / "broker").iterdir()]
    assert len(made) == 4
    assert {stat.S_IMODE(each.stat().st_mode) for each in made} == {0o700}
    assert conf["broker_transport_options"]["data_folder_in"] == conf["broker_transport_options"]["data_folder_out"]


def test_producer_and_consumer_get_the_same_settings(tmp_path: Path) -> None:
    assert settings(tmp_path / "broker") == settings(tmp_path / "broker")


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(EmbeddedBrokerError) as refused:
        settings(tmp_path / "file" / "broker")
    assert str(refused.value) == (
        f"the embedded broker's folder {tmp_path}/file/broker can't be made (Not a directory): "
        "name another with CELERY_TASKS_BROKER=embedded:///folder"
    )


def test_another_user_s_folder_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "broker").mkdir()
    monkeypatch.setattr(os, "getuid", lambda: tmp_path.stat().st_uid + 1)
    with pytest.raises(EmbeddedBrokerError, match=f"folder {tmp_path}/broker belongs to another user: name one of"):
        settings(tmp_path / "broker")
