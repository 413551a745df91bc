"""What systemd is told while it does not listen, over a real socket."""

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from agent.run.systemd import LONGEST, Notifier


@pytest.fixture
def systemd(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[socket.socket]:
    path = str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(path)
        listener.setblocking(False)
        monkeypatch.setenv("NOTIFY_SOCKET", path)
        yield listener


def freeze(systemd: socket.socket) -> None:
    """Fill what the kernel keeps for systemd until it reads."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as others:
        others.connect(systemd.getsockname())
        others.setblocking(False)
        try:
            while True:
                others.send(b"X=other")
        except BlockingIOError:
            pass


def told(systemd: socket.socket) -> list[str]:
    messages = []
    try:
        while True:
            messages.append(systemd.recv(65_536).decode())
    except BlockingIOError:
        return [message for message in messages if message != "X=other"]


def test_a_systemd_that_is_frozen_holds_nobody_up_and_is_told_all_of_it_later(systemd: socket.socket) -> None:
    notifier = Notifier()
    freeze(systemd)
    notifier.status("starting")
    notifier.ready()
    for _ in range(3):
        notifier.alive()
        notifier.status("consuming")
    assert told(systemd) == []
    notifier.alive()
    assert told(systemd) == ["READY=1", "STATUS=consuming", "WATCHDOG=1"]


def test_a_sign_of_life_that_was_not_taken_is_given_with_whatever_comes_next(systemd: socket.socket) -> None:
    notifier = Notifier()
    notifier.status("consuming")
    told(systemd)
    freeze(systemd)
    notifier.alive()
    told(systemd)
    notifier.status("consuming")  # nothing new in itself
    assert told(systemd) == ["WATCHDOG=1"]


def test_without_a_socket_at_its_place_nothing_is_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "none"))
    notifier = Notifier()
    notifier.ready()
    notifier.status("consuming")


def test_a_status_is_cut_where_systemd_would_ignore_it(systemd: socket.socket) -> None:
    Notifier().status("x" * 10_000)
    (message,) = told(systemd)
    assert len(message) == LONGEST


def test_a_name_that_is_not_utf8_can_be_told(systemd: socket.socket) -> None:
    Notifier().status("last reload refused: /mnt/\udcff")
    assert told(systemd) == ["STATUS=last reload refused: /mnt/\\udcff"]
