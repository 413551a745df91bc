"""The control socket: a real server with the commands' own client, and with clients that are of no good."""

import os
import resource
import select
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from selectors import BaseSelector

import pytest

from agent.control import address, client, server
from agent.control.protocol import Refusal, Request, decode_answer, encode_answer
from agent.control.server import MOST_CONNECTIONS, Connection, Server
from agent.decide.plan import Difference
from agent.decide.status import Status
from agent.decide.status_json import status_text
from agent.errors import AgentError, ConfigurationError
from agent.run.timers import Timers
from tests.adapters.answers import STATUS
from tests.adapters.loop import Loop

CHANGE = Difference(("a",), (), (), (), ())


class Daemon:
    """What is behind the server: answers with a status at once, with the outcome of a reload when told to."""

    def __init__(self, folder: Path, selector: BaseSelector, timers: Timers, loop: Loop) -> None:
        self.loop = loop
        self.waiting: list[Connection] = []
        self.faults: list[Exception] = []
        self.answer: Callable[[], Status] = lambda: STATUS
        self.server = Server(folder, selector, timers, self._on_request, self.faults.append)

    def _on_request(self, request: Request, connection: Connection) -> None:
        if request is Request.STATUS:
            connection.answer(status_text(self.answer()))
        else:
            self.waiting.append(connection)


@pytest.fixture
def daemon(tmp_path: Path, selector: BaseSelector, timers: Timers, loop: Loop) -> Iterator[Daemon]:
    daemon = Daemon(tmp_path, selector, timers, loop)
    yield daemon
    daemon.server.close()


@pytest.fixture
def ask(daemon: Daemon, tmp_path: Path) -> Iterator[Callable[[Callable[[Path, float], object]], object]]:
    """Ask as a command does, in a thread, while the daemon's loop turns."""
    with ThreadPoolExecutor() as pool:

        def ask(question: Callable[[Path, float], object]) -> object:
            asked: Future[object] = pool.submit(question, tmp_path, 10.0)
            daemon.loop.until(asked.done)
            return asked.result()

        yield ask


Ask = Callable[[Callable[[Path, float], object]], object]


def connected(folder: Path) -> socket.socket:
    peer = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    peer.settimeout(10.0)
    peer.connect(str(address.socket_in(folder)))
    return peer


def answer_to(daemon: Daemon, peer: socket.socket) -> bytes:
    """Return what a client is sent until it is closed."""
    received = b""
    while True:
        daemon.loop.until(lambda: select.select([peer], [], [], 0)[0])
        try:
            more = peer.recv(262_144)
        except ConnectionResetError:  # it had sent what nobody read
            return received
        if not more:
            return received
        received += more


def test_a_command_has_its_answer(ask: Ask) -> None:
    assert ask(client.status) == STATUS


def test_clients_that_say_nothing_make_room_for_one_that_asks(daemon: Daemon, tmp_path: Path, ask: Ask) -> None:
    with ExitStack() as silent:
        peers = [silent.enter_context(connected(tmp_path)) for _ in range(MOST_CONNECTIONS - 1)]
        daemon.loop.until(lambda: len(daemon.server.connections) == MOST_CONNECTIONS - 1)
        peers.append(silent.enter_context(connected(tmp_path)))
        assert ask(client.status) == STATUS
        assert "a request was expected" in decode_refusal(answer_to(daemon, peers[0]))
        peers[1].sendall(b'{"request": "status"}\n')
        assert decode_answer(answer_to(daemon, peers[1])) == STATUS


def test_a_client_that_says_nothing_is_closed_and_told_why(
    daemon: Daemon, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "CLIENT_TIMEOUT", 0.1)
    with connected(tmp_path) as peer:
        assert "a request was expected" in decode_refusal(answer_to(daemon, peer))
    assert not daemon.server.connections


def test_a_client_that_does_not_read_its_answer_is_closed(
    daemon: Daemon, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "CLIENT_TIMEOUT", 0.1)
    daemon.answer = lambda: large(STATUS)
    with connected(tmp_path) as peer:
        peer.sendall(b'{"request": "status"}\n')
        daemon.loop.until(lambda: daemon.server.connections)
        daemon.loop.until(lambda: not daemon.server.connections)


def large(status: Status) -> Status:
    """Return a status that no socket takes at once."""
    return replace(status, summary="x" * 2_000_000)


def test_a_large_answer_arrives_whole(daemon: Daemon, ask: Ask) -> None:
    daemon.answer = lambda: large(STATUS)
    assert ask(client.status) == large(STATUS)


def test_a_client_that_shuts_its_sending_side_down_has_its_answer(daemon: Daemon, tmp_path: Path) -> None:
    for request, answer in ((b"status", STATUS), (b"reload", CHANGE)):
        with connected(tmp_path) as peer:
            peer.sendall(b'{"request": "%s"}\n' % request)
            peer.shutdown(socket.SHUT_WR)
            daemon.loop.until(lambda: daemon.waiting or select.select([peer], [], [], 0)[0])
            for _ in range(3):  # time enough to take the end of what it sends for its end
                daemon.loop.turn()
            for connection in daemon.waiting:
                connection.answer(CHANGE)
            assert decode_answer(answer_to(daemon, peer)) == answer


def test_only_the_first_request_is_read(daemon: Daemon, tmp_path: Path) -> None:
    with connected(tmp_path) as peer:
        peer.settimeout(0)
        peer.sendall(b'{"request": "reload"}\n')
        daemon.loop.until(lambda: daemon.waiting)
        sent = 0
        try:
            while sent < 100_000_000:
                sent += peer.send(b'{"request": "status"}\n' * 1_000)
                daemon.loop.turn()
        except BlockingIOError:
            pass
        assert sent < 10_000_000  # what the kernel keeps
        daemon.waiting[0].answer(CHANGE)
        assert decode_answer(answer_to(daemon, peer)) == CHANGE
        assert len(daemon.waiting) == 1


def test_a_request_without_an_end_is_refused(daemon: Daemon, tmp_path: Path) -> None:
    with connected(tmp_path) as peer:
        peer.sendall(b"x" * 70_000)
        assert "at most 65536 bytes" in decode_refusal(answer_to(daemon, peer))


def test_who_waits_in_every_place_gives_one_up_and_is_told_that_the_agent_is_busy(
    daemon: Daemon, tmp_path: Path, ask: Ask
) -> None:
    with ExitStack() as busy:
        peers = [busy.enter_context(connected(tmp_path)) for _ in range(MOST_CONNECTIONS)]
        for peer in peers:
            peer.sendall(b'{"request": "reload"}\n')
            daemon.loop.turn()
        daemon.loop.until(lambda: len(daemon.waiting) == MOST_CONNECTIONS)
        assert ask(client.status) == STATUS
        assert "busy with other requests" in decode_refusal(answer_to(daemon, peers[0]))
        assert not daemon.waiting[0].is_open
        assert daemon.waiting[1].is_open


# Has as many reloads wait as it may, gives none of its places up, and takes each that it can get.
GREEDY = """
import socket, sys
held = []
while True:
    peer = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    peer.connect(sys.argv[1])
    peer.sendall(b'{"request": "reload"}\\n')
    held = [*held[-500:], peer]
"""


def test_one_who_takes_every_place_that_there_is_costs_another_none(daemon: Daemon, tmp_path: Path, ask: Ask) -> None:
    with connected(tmp_path) as patient:
        patient.sendall(b'{"request": "reload"}\n')
        daemon.loop.until(lambda: daemon.waiting)
        with subprocess.Popen([sys.executable, "-c", GREEDY, str(address.socket_in(tmp_path))]) as greedy:
            daemon.loop.until(lambda: len(daemon.waiting) > 3 * MOST_CONNECTIONS)
            for _ in range(5):
                assert ask(client.status) == STATUS
            greedy.kill()
        assert len(daemon.server.connections) <= MOST_CONNECTIONS
        daemon.waiting[0].answer(CHANGE)
        assert decode_answer(answer_to(daemon, patient)) == CHANGE


def test_clients_that_left_before_their_answer_make_room(daemon: Daemon, tmp_path: Path, ask: Ask) -> None:
    for number in range(MOST_CONNECTIONS):
        with connected(tmp_path) as peer:
            peer.sendall(b'{"request": "reload"}\n')
            daemon.loop.until(lambda: len(daemon.waiting) == number + 1)  # noqa: B023 - called here
    assert ask(client.status) == STATUS


def test_an_agent_out_of_descriptors_says_so_and_its_loop_rests(daemon: Daemon, tmp_path: Path, ask: Ask) -> None:
    with connected(tmp_path) as peer:
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (max(map(int, os.listdir("/proc/self/fd"))), hard))
        fillers = fill_descriptors()
        try:
            assert "out of descriptors" in decode_refusal(answer_to(daemon, peer))
        finally:
            for each in fillers:
                os.close(each)
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert ask(client.status) == STATUS


def fill_descriptors() -> list[int]:
    taken = []
    try:
        while True:
            taken.append(os.open(os.devnull, os.O_RDONLY))
    except OSError:
        return taken


def test_what_the_daemon_fails_at_is_told_to_that_client_alone(daemon: Daemon, tmp_path: Path, ask: Ask) -> None:
    def fail() -> Status:
        raise KeyError("q0")

    daemon.answer = fail
    with pytest.raises(AgentError, match="the agent failed at this request"):
        ask(client.status)
    assert [repr(fault) for fault in daemon.faults] == ["KeyError('q0')"]
    daemon.answer = lambda: STATUS
    assert ask(client.status) == STATUS


@pytest.mark.parametrize("line", [b"[" * 60_000, b'{"request": ["status"]}', b'{"request": {}}', b'{"request": 1e999}'])
def test_a_request_of_any_shape_is_refused_and_no_more(daemon: Daemon, tmp_path: Path, line: bytes) -> None:
    with connected(tmp_path) as peer:
        peer.sendall(line + b"\n")
        assert "unknown request" in decode_refusal(answer_to(daemon, peer))


def decode_refusal(line: bytes) -> str:
    answer = decode_answer(line)
    assert isinstance(answer, Refusal)
    assert encode_answer(answer) == line
    return answer.message


def test_a_socket_that_is_another_agents_is_left_alone(tmp_path: Path, selector: BaseSelector, timers: Timers) -> None:
    """The runtime folder was removed, and another agent has begun there."""
    server = Server(tmp_path, selector, timers, lambda *_: None, lambda _: None)
    path = next(path for path in tmp_path.iterdir() if path.is_socket())
    path.rename(tmp_path / "removed")
    path.touch()
    server.close()
    assert path.exists()


def test_a_folder_where_the_socket_is_to_be_is_named(tmp_path: Path, selector: BaseSelector, timers: Timers) -> None:
    (tmp_path / "control.sock").mkdir()
    with pytest.raises(ConfigurationError, match=r"control.sock can't be made: Is a directory. Remove what is there."):
        Server(tmp_path, selector, timers, lambda *_: None, lambda _: None)
