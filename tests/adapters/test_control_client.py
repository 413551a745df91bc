"""The commands' side of the control socket: what they make of answers, whole, broken or none; and the words of both sides."""

import json
import socket
from contextlib import ExitStack
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.control import address, client
from agent.control.protocol import Request, decode_answer, decode_request
from agent.decide.status import Status
from agent.decide.status_json import encode_status
from agent.errors import AgentError, NotRunning, ProtocolError
from tests.adapters.answers import STATUS
from tests.adapters.other_agent import other_agent


def test_an_answer_that_comes_in_drips_ends_with_the_command_s_patience(tmp_path: Path) -> None:
    with other_agent(tmp_path, b" ", pause=0.05), pytest.raises(AgentError, match="has not answered for 0.5 s"):
        client.status(tmp_path, timeout=0.5)


def test_an_answer_without_an_end_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "LONGEST_ANSWER", 100_000)
    with other_agent(tmp_path, b"x" * 200_000), pytest.raises(AgentError, match="more than 100000 bytes"):
        client.status(tmp_path, timeout=10.0)


@pytest.mark.parametrize(
    "line",
    [
        b"[" * 100_000,
        b"\xff",
        b"{}",
        b"[]",
        b'{"status": []}',
        b'{"status": {"schema": 1}}',
        b'{"status": {"schema": [1]}}',
        b'{"reloaded": []}',
        b'{"reloaded": {"added": 1}}',
        b'{"error": {"message": 1, "exit_status": 1}}',
        b'{"error": {"message": "x", "exit_status": "1"}}',
        b'{"error": "x"}',
        json.dumps({"status": {**encode_status(STATUS), "memory": "much"}}).encode(),
        json.dumps({"status": {**encode_status(STATUS), "memory": 10**400}}).encode(),
        json.dumps({"status": {**encode_status(STATUS), "uptime": float("nan")}}).encode(),
        json.dumps({"status": {**encode_status(STATUS), "queues": [{}]}}).encode(),
    ],
)
def test_an_answer_that_is_none_is_one_line_for_people(tmp_path: Path, line: bytes) -> None:
    with other_agent(tmp_path, line + b"\n"), pytest.raises(ProtocolError) as raised:
        client.status(tmp_path, timeout=10.0)
    assert len(str(raised.value).splitlines()) == 1
    assert len(str(raised.value)) < 300


def test_a_command_that_finds_no_room_to_wait_in_says_busy(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener, ExitStack() as others:
        listener.bind(str(address.socket_in(tmp_path)))
        listener.listen(1)  # and nobody accepts
        try:
            while True:
                peer = others.enter_context(socket.socket(socket.AF_UNIX, socket.SOCK_STREAM))
                peer.settimeout(0)
                peer.connect(str(address.socket_in(tmp_path)))
        except BlockingIOError:
            pass
        with pytest.raises(AgentError, match="is busy"):
            client.status(tmp_path, timeout=0.2)


def test_where_nobody_listens_the_agent_is_not_running(tmp_path: Path) -> None:
    with pytest.raises(NotRunning):
        client.status(tmp_path)
    socket.socket(socket.AF_UNIX, socket.SOCK_STREAM).bind(str(address.socket_in(tmp_path)))
    with pytest.raises(NotRunning):
        client.status(tmp_path)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@given(
    st.binary()
    | JSON.map(lambda value: json.dumps(value).encode())
    | JSON.map(lambda value: b'{"request": %s}' % json.dumps(value).encode())
)
def test_whatever_a_request_is_it_is_understood_or_refused(line: bytes) -> None:
    try:
        assert isinstance(decode_request(line), Request)
    except ProtocolError:
        pass


@given(st.sampled_from(sorted(encode_status(STATUS))), JSON)
def test_whatever_a_field_of_an_answer_is_it_is_understood_or_refused(field: str, value: object) -> None:
    line = json.dumps({"status": {**encode_status(STATUS), field: value}}).encode()
    try:
        assert isinstance(decode_answer(line), Status)
    except ProtocolError:
        pass


def test_a_value_of_a_newer_agent_is_read_without_what_is_new() -> None:
    value = {**encode_status(STATUS), "news": 1}
    assert decode_answer(json.dumps({"status": value}).encode()) == STATUS
