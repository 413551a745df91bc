"""What systemd is told, over a real socket, and where a unit's credentials are found."""

import os
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from agent.config.credentials import hidden, with_credentials
from agent.config.problems import InvalidConfiguration
from agent.run.systemd import Notifier


@pytest.fixture
def systemd(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(str(tmp_path / "notify"))
        listener.setblocking(False)
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
        yield listener


def told(systemd: socket.socket) -> list[str]:
    messages = []
    while True:
        try:
            messages.append(systemd.recv(4096).decode())
        except BlockingIOError:
            return messages


def test_a_reload_is_told_with_its_time_and_ends_with_ready(systemd: socket.socket) -> None:
    notifier = Notifier()
    notifier.ready()
    before = time.monotonic_ns() // 1000
    notifier.reloading()
    notifier.reloading()  # the file changed while it was read: still the same reload
    notifier.reloaded()
    notifier.reloaded()
    ready, reloading, reloaded = told(systemd)
    assert (ready, reloaded) == ("READY=1", "READY=1")
    line, _, microseconds = reloading.partition("\nMONOTONIC_USEC=")
    assert line == "RELOADING=1"
    assert before <= int(microseconds) <= time.monotonic_ns() // 1000


def test_a_reload_during_the_start_neither_ends_nor_disturbs_it(systemd: socket.socket) -> None:
    notifier = Notifier()
    notifier.reloading()
    notifier.reloaded()
    assert told(systemd) == []


def test_a_stop_during_a_reload_is_not_followed_by_ready(systemd: socket.socket) -> None:
    notifier = Notifier()
    notifier.ready()
    notifier.reloading()
    notifier.stopping()
    notifier.reloaded()
    assert told(systemd)[-1] == "STOPPING=1"


def test_a_status_is_sent_once_in_utf8_and_on_one_line(systemd: socket.socket) -> None:
    notifier = Notifier()
    notifier.status("queue größe: 任务…\nREADY=1")
    notifier.status("queue größe: 任务…\nREADY=1")
    assert told(systemd) == ["STATUS=queue größe: 任务… READY=1"]


def test_a_credential_is_found_as_the_file_that_a_variable_names(tmp_path: Path) -> None:
    for name in ("RABBITMQ_PWD", "RABBITMQ_CA", "something.else"):
        (tmp_path / name).write_text("x")
    environment = {"CREDENTIALS_DIRECTORY": str(tmp_path), "RABBITMQ_CA_FILE": "/etc/ssl/ca.pem"}
    assert with_credentials(environment, "magic") == {
        **environment,
        "RABBITMQ_PWD_FILE": str(tmp_path / "RABBITMQ_PWD"),
    }


def test_an_empty_credential_is_one_whose_source_is_missing(tmp_path: Path) -> None:
    (tmp_path / "RABBITMQ_PWD").write_text("\n")
    with pytest.raises(InvalidConfiguration) as raised:
        with_credentials({"CREDENTIALS_DIRECTORY": str(tmp_path)}, "magic")
    assert "LoadCredential=RABBITMQ_PWD: " in str(raised.value)


def test_credentials_that_this_user_may_not_read_are_said_to_be_missing(tmp_path: Path) -> None:
    folder, user = tmp_path / "credentials", os.geteuid()
    folder.mkdir()
    environment = {"CREDENTIALS_DIRECTORY": str(folder)}
    assert hidden(environment, "magic") == ""
    folder.chmod(0)
    os.seteuid(user or 65534)  # root may look everywhere
    try:
        assert hidden(environment, "magic").startswith(f"This user may not look into {folder}")
        assert hidden({}, "no-such-instance") == ""
    finally:
        os.seteuid(user)


def test_without_credentials_the_environment_stays_as_it_is() -> None:
    assert with_credentials({"A": "1"}, "no-such-instance") == {"A": "1"}
