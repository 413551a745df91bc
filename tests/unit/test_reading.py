"""Frames are read as py-amqp reads them, whatever comes, and however long it takes to come."""

from __future__ import annotations

import errno
import socket
import ssl
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from amqp.transport import TCPTransport
from kombu.transport import pyamqp

from celery_delivery.broker.transport import Connection

HEARTBEAT = b"\x08\0\0\0\0\0\0\xce"
METHOD = b"\x01\0\x01\0\0\0\4\0\x0a\0\x1e\xce"


class Line:
    """A connection at one end of a pair of sockets; `frames` are what it has read, each with the socket's timeout then."""

    def __init__(self, kind: type[Any]) -> None:
        self.near, self.far = socket.socketpair()
        self.frames: list[tuple[int, float | None]] = []
        transport = TCPTransport("nowhere:0")
        transport.sock = self.near
        transport._setup_transport()
        transport.connected = True
        self.connection = kind()
        self.connection._transport = transport
        self.connection.on_inbound_frame = self.take

    def take(self, frame: tuple[int, int, bytes]) -> bool:
        self.frames.append((frame[0], self.near.gettimeout()))
        return frame[0] == 1

    def close(self) -> None:
        self.near.close()
        self.far.close()


@pytest.fixture(params=[pyamqp.Connection, Connection], ids=["stock", "ours"])
def line(request: pytest.FixtureRequest) -> Iterator[Line]:
    line = Line(request.param)
    yield line
    line.close()


@pytest.mark.parametrize("timeout", [None, 0, 5.0])
@pytest.mark.parametrize("own", [None, 7.0])
def test_what_is_there_is_read_up_to_what_is_whole_and_handled_with_the_sockets_own_timeout(
    line: Line, timeout: float | None, own: float | None
) -> None:
    line.near.settimeout(own)
    line.far.sendall(HEARTBEAT + METHOD + METHOD)
    line.connection.drain_events(timeout=timeout)
    assert line.frames == [(8, own), (1, own)]
    line.connection.drain_events(timeout=timeout)
    assert line.frames == [(8, own), (1, own), (1, own)]


@pytest.mark.parametrize("timeout", [0, 0.01])
def test_nothing_for_so_long_is_a_timeout_and_the_socket_keeps_its_own(line: Line, timeout: float) -> None:
    with pytest.raises(TimeoutError):
        line.connection.drain_events(timeout=timeout)
    assert line.near.gettimeout() is None
    assert line.frames == []


def test_half_a_frame_is_kept_until_the_rest_of_it_has_come(line: Line) -> None:
    line.far.sendall(METHOD[:9])
    with pytest.raises(TimeoutError):
        line.connection.drain_events(timeout=0.01)
    line.far.sendall(METHOD[9:])
    line.connection.drain_events(timeout=0.01)
    assert line.frames == [(1, None)]


def test_who_waits_for_ever_gets_what_comes_later(line: Line) -> None:
    later = threading.Timer(0.05, line.far.sendall, (METHOD,))
    later.start()
    line.connection.drain_events()
    later.join()
    assert line.frames == [(1, None)]


def test_a_connection_that_is_closed_is_no_timeout(line: Line) -> None:
    line.far.close()
    with pytest.raises(OSError, match="Server unexpectedly closed connection") as raised:
        line.connection.drain_events(timeout=0)
    assert not isinstance(raised.value, TimeoutError)
    assert line.near.gettimeout() is None


@pytest.mark.parametrize(
    "error", [ssl.SSLWantReadError, ssl.SSLWantWriteError, BlockingIOError], ids=lambda kind: kind.__name__
)
def test_what_is_still_to_come_over_tls_is_a_timeout(
    line: Line, error: type[OSError], monkeypatch: pytest.MonkeyPatch
) -> None:
    def read_frame() -> None:
        raise error(errno.EWOULDBLOCK, "The operation did not complete")

    monkeypatch.setattr(line.connection.transport, "read_frame", read_frame)
    with pytest.raises(TimeoutError):
        line.connection.drain_events(timeout=0)


def test_a_connection_that_another_thread_closes_meanwhile_is_an_error_of_connections(
    line: Line, monkeypatch: pytest.MonkeyPatch
) -> None:
    transport = line.connection.transport

    def read_frame() -> None:
        transport.sock = None
        raise OSError(errno.EBADF, "Bad file descriptor")

    monkeypatch.setattr(transport, "read_frame", read_frame)
    with pytest.raises(OSError, match="Bad file descriptor"):
        line.connection.drain_events(timeout=0)


def test_one_that_another_thread_has_begun_to_close_is_read_as_before_where_there_is_no_timeout(line: Line) -> None:
    transport = line.connection.transport
    line.near.close()
    transport.sock = None
    with pytest.raises(OSError, match="Bad file descriptor"):
        line.connection.drain_events()
