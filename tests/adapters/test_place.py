"""The place of an instance on its node, taken away while it runs."""

from __future__ import annotations

import gc
import os
import shutil
import socket
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from agent.control import address, client, operators
from agent.control.protocol import Request
from agent.control.server import Connection
from agent.decide.status import Status
from agent.decide.status_json import status_text
from agent.errors import AgentError
from agent.run import place
from agent.run.lock import hold_lock
from agent.run.loop import Loop
from agent.run.place import Place
from tests.adapters.answers import STATUS
from tests.adapters.loop import Facts


class Instance:
    """What runs at a place: answers with a status."""

    def __init__(self, folder: Path, group: str = "") -> None:
        self.folder = folder
        self.log = Facts()
        self.loop = Loop(self.log)
        self.place = Place(folder, self.loop, self.log, self._answer, group)

    def _answer(self, request: Request, connection: Connection) -> None:
        connection.answer(status_text(STATUS))

    def until(self, condition: Callable[[], object]) -> None:
        """Turn its loop until a condition holds."""
        deadline = time.monotonic() + 20.0
        while not condition():
            assert time.monotonic() < deadline, condition
            self.loop.wait(time.monotonic() + 0.02)

    def status(self) -> Status:
        """Return what it answers a command."""
        with ThreadPoolExecutor() as pool:
            asked = pool.submit(client.status, self.folder, 10.0)
            self.until(asked.done)
            return asked.result()


@pytest.fixture
def instance(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Instance]:
    monkeypatch.setattr(place, "PAUSE", 0.01)
    monkeypatch.setattr(place, "RETRY", 0.05)
    instance = Instance(tmp_path / "run" / "magic")
    yield instance
    instance.place.close()


def remove_all(folder: Path) -> None:
    shutil.rmtree(folder.parent)


def remove_lock(folder: Path) -> None:
    (folder / "lock").unlink()


def replace_lock(folder: Path) -> None:
    (folder / "another").touch()
    (folder / "another").rename(folder / "lock")


def replace_socket(folder: Path) -> None:
    path = address.socket_in(folder)
    path.unlink()
    socket.socket(socket.AF_UNIX, socket.SOCK_STREAM).bind(str(path))


def move_away(folder: Path) -> None:
    folder.rename(folder.with_name("elsewhere"))


@pytest.mark.parametrize("take_away", [remove_all, remove_lock, replace_lock, replace_socket, move_away])
def test_a_place_that_was_taken_away_is_taken_again(instance: Instance, take_away: Callable[[Path], None]) -> None:
    for times in (1, 2):
        take_away(instance.folder)
        instance.until(lambda: len(instance.log.of("place-taken-again")) == times)  # noqa: B023 - called here
        with pytest.raises(AgentError, match="is running already"):
            hold_lock(instance.folder)
        assert instance.status() == STATUS
        if take_away is move_away:
            shutil.rmtree(instance.folder.with_name("elsewhere"))


def test_where_another_was_quicker_it_goes_on_says_so_and_takes_the_place_once_that_has_gone(
    instance: Instance,
) -> None:
    remove_all(instance.folder)
    other = hold_lock(instance.folder)
    instance.until(lambda: len(instance.log.of("place-lost")) == 2)
    assert "is running already" in str(instance.log.of("place-lost")[0]["reason"])
    os.close(other)
    instance.until(lambda: instance.log.of("place-taken-again"))
    assert instance.status() == STATUS


def test_what_others_do_in_the_folder_is_nothing_to_it(instance: Instance) -> None:
    for number in range(3):
        (instance.folder / str(number)).touch()
        instance.loop.wait(time.monotonic() + 0.1)
    assert instance.status() == STATUS
    assert not instance.log.facts


def test_nothing_of_it_is_left_when_it_ends(tmp_path: Path) -> None:
    gc.collect()  # what other tests have left
    before = os.listdir("/proc/self/fd")
    instance = Instance(tmp_path / "magic")
    remove_lock(instance.folder)
    instance.until(lambda: instance.log.of("place-taken-again"))
    instance.place.close()
    assert os.listdir(instance.folder) == ["lock"]
    instance.loop.selector.close()
    assert os.listdir("/proc/self/fd") == before


def test_operators_are_let_in_where_the_place_is_taken_and_where_it_is_taken_again(tmp_path: Path) -> None:
    instance = Instance(tmp_path / "run" / "magic", "games")  # a group of each Debian, that nobody is in
    for _ in range(2):
        for path in (instance.folder, address.socket_in(instance.folder)):
            assert operators.groups_of(path) == ("games",)
            assert path.stat().st_mode & 0o007 == 0
        remove_all(instance.folder)
        instance.until(lambda: instance.log.of("place-taken-again"))
    instance.place.close()


def test_a_group_of_operators_that_is_not_there_is_told_and_ends_nothing(tmp_path: Path) -> None:
    instance = Instance(tmp_path / "run" / "magic", "no-such-group")
    assert [each["group"] for each in instance.log.of("operators-not-let-in")] == ["no-such-group"]
    assert instance.status() == STATUS
    instance.place.close()
