"""What the agent keeps beyond its own end, where it can't be written."""

from pathlib import Path

import pytest

from agent.decide.blame import Suspects
from agent.guest.messages import Suspect
from agent.operate.room import lacking
from agent.run import suspects
from agent.run.logs import Log
from agent.run.suspects import SuspectsFile

KNOWN: dict[str, Suspects] = {"emails": (Suspect("id-1", 1, "killed by SIGKILL", False),)}


def full(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> SuspectsFile:
    """Return the file of an instance that has just found its disk full."""
    (tmp_path / "magic.new").symlink_to("/dev/full")
    file = SuspectsFile("magic", tmp_path, Log("magic"))
    file.keep(KNOWN)
    assert "suspects-not-kept" in capfd.readouterr().err
    return file


def test_a_full_disk_is_named_with_what_to_do(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    file = full(tmp_path, capfd)
    assert "No space left on device" in file.keeping.fault
    assert file.keeping.fault.endswith(f"free space on the disk of {tmp_path}")


def test_a_file_that_can_not_be_written_is_tried_again_until_it_can(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(suspects, "RETRY", 0.0)
    file = full(tmp_path, capfd)
    file.keep(KNOWN)
    assert file.keeping.fault
    assert capfd.readouterr().err == ""  # the same is not said again
    (tmp_path / "magic.new").unlink()
    file.keep(KNOWN)
    assert not file.keeping.fault
    assert "suspects-kept" in capfd.readouterr().err
    assert SuspectsFile("magic", tmp_path, Log("magic")).load() == KNOWN


def test_it_is_not_tried_again_at_each_event(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    file = full(tmp_path, capfd)
    (tmp_path / "magic.new").unlink()
    file.keep(KNOWN)
    assert file.keeping.fault


def test_a_folder_that_is_not_to_be_written_in_is_not_called_full(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "magic.new").mkdir()
    file = SuspectsFile("magic", tmp_path, Log("magic"))
    file.keep(KNOWN)
    assert file.keeping.fault.endswith("that the agent's user can write in")


def test_a_file_system_without_room_is_seen_beforehand(tmp_path: Path) -> None:
    assert "the disk of /proc has 0 KiB left" in lacking("/proc")  # the kernel's own has room for nothing
    assert lacking(str(tmp_path)) == lacking("") == lacking("/nowhere") == ""
