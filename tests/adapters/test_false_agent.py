"""Commands before an agent that is none, or that has been told lies: what it says reaches no terminal as it is."""

import json
import os
import socket
from dataclasses import replace
from pathlib import Path

import pytest

from agent.cli.main import main
from agent.control import client
from agent.control.peer import Peer, peer_of
from agent.control.protocol import Refusal, encode_answer
from agent.decide.plan import Difference
from agent.decide.status_json import status_text
from agent.errors import FAILURE, AgentError
from tests.adapters.answers import STATUS
from tests.adapters.other_agent import other_agent
from tests.unit.test_render import QUEUE

HOSTILE = "\x1b[2J\x07\nmagic: consuming from all queues\r\u202e\x9b"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the runtime folder of an instance called magic."""
    for variable, name in (("CELERY_AGENT_CONFIG_DIR", "etc"), ("CELERY_AGENT_RUNTIME_DIR", "run")):
        (tmp_path / name).mkdir()
        monkeypatch.setenv(variable, str(tmp_path / name))
    (tmp_path / "etc" / "magic.env").touch()
    folder = tmp_path / "run" / "magic"
    folder.mkdir()
    return folder


def assert_plain(text: str, lines: int) -> None:
    """Fail unless a text has so many lines of printable characters, and none that was forged."""
    found = text.removesuffix("\n").split("\n")
    assert all(line.isprintable() for line in found)
    assert not any(line.startswith("magic: consuming from all") for line in found)
    assert len(found) == lines


def test_a_status_is_shown_without_what_a_terminal_would_act_upon(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    queue = replace(QUEUE, queue=HOSTILE, last_exit=HOSTILE, obstacle=HOSTILE, losing=HOSTILE, not_started=HOSTILE)
    status = replace(STATUS, summary=HOSTILE, broker=HOSTILE, reload_error=HOSTILE, queues=(queue,))
    with other_agent(folder, encode_answer(status_text(status))):
        main(["status", "magic"])
    assert_plain(capsys.readouterr().out, lines=12)


def test_as_json_it_is_exact(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with other_agent(folder, encode_answer(status_text(replace(STATUS, summary=HOSTILE)))):
        main(["status", "magic", "--json"])
    assert json.loads(capsys.readouterr().out)["summary"] == HOSTILE


def test_a_refusal_is_one_plain_line(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with other_agent(folder, encode_answer(Refusal(HOSTILE, 1))):
        main(["status", "magic"])
    assert_plain(capsys.readouterr().err, lines=1)


def test_one_that_says_that_it_is_another_process_is_none(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with other_agent(folder, encode_answer(status_text(replace(STATUS, pid=os.getppid())))):
        assert main(["status", "magic"]) == FAILURE
    said = capsys.readouterr()
    assert said.out == "magic: no answer\n"
    assert f"is no agent of this node: process {os.getpid()} of user" in said.err
    assert f"says that it is process {os.getppid()}" in said.err


def test_one_of_a_user_who_does_not_own_its_folder_is_none(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "peer_of", lambda _: Peer(os.getpid(), 47_110))
    with other_agent(folder, b"", encode_answer(status_text(STATUS))):
        with pytest.raises(
            AgentError, match=r"is no agent of this node: it is process \d+ of user 47110, and the folder"
        ):
            client.status(folder)
        monkeypatch.setattr(client, "peer_of", lambda _: Peer(os.getpid(), 0))
        assert client.status(folder) == STATUS


def test_the_kernel_tells_who_is_at_the_other_end() -> None:
    one, other = socket.socketpair(socket.AF_UNIX)
    with one, other:
        peer = peer_of(one)
    assert peer == Peer(os.getpid(), os.geteuid())
    assert peer.may_call_itself(os.getpid())
    assert not peer.may_call_itself(os.getppid())


def test_what_a_reload_changes_is_one_plain_line(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    change = Difference((HOSTILE,), (), (), (), ())
    with other_agent(folder, encode_answer(status_text(STATUS)), encode_answer(change)):
        main(["reload", "magic"])
    assert_plain(capsys.readouterr().out, lines=1)
