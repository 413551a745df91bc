"""A descriptor that is sent to the daemon is not kept, and not waited for when it is closed."""

from __future__ import annotations

import os
import socket
import struct
from collections.abc import Iterator

import pytest

from agent.guest.receiving import receive, refuse_descriptors

LINGER = 600  # seconds that closing the last descriptor of such a socket takes


@pytest.fixture
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with ours, theirs:
        ours.setblocking(False)
        yield ours, theirs


@pytest.fixture
def lingering() -> Iterator[int]:
    """A TCP socket that nobody reads from, with SO_LINGER and unsent data."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        sender = socket.create_connection(server.getsockname())
        receiver, _ = server.accept()
        with receiver:
            sender.setblocking(False)
            try:
                while True:
                    sender.send(b"x" * 65_536)
            except BlockingIOError:
                pass
            sender.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, LINGER))
            yield sender.detach()


@pytest.mark.timeout(30)  # it would take ten minutes
def test_a_socket_that_lingers_holds_nobody_up(pair: tuple[socket.socket, socket.socket], lingering: int) -> None:
    ours, theirs = pair
    socket.send_fds(theirs, [b"a report"], [lingering])
    os.close(lingering)  # now the message has the last one
    before = len(os.listdir("/proc/self/fd"))
    assert receive(ours, 100) == b"a report"
    assert len(os.listdir("/proc/self/fd")) == before


def test_what_comes_without_descriptors_comes_as_ever(pair: tuple[socket.socket, socket.socket]) -> None:
    ours, theirs = pair
    theirs.send(b"a report")
    assert receive(ours, 3) == b"a r"
    with pytest.raises(BlockingIOError):
        receive(ours, 100)
    theirs.close()
    assert receive(ours, 100) == b""


def test_a_kernel_that_can_refuse_descriptors_does(pair: tuple[socket.socket, socket.socket]) -> None:
    ours, theirs = pair
    refuse_descriptors(ours)
    try:
        socket.send_fds(theirs, [b"a report"], [0])
    except PermissionError:  # since Linux 6.16
        theirs.send(b"a report")
    assert receive(ours, 100) == b"a report"
