"""Ports that tests keep for their servers."""

import errno
import socket

import pytest

from tests.ports import HOST, number, reserve


def test_a_reserved_port_refuses_connections_until_its_server_listens() -> None:
    with reserve() as kept:
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection((HOST, number(kept)))
        with socket.create_server((HOST, number(kept))):  # which sets SO_REUSEADDR
            socket.create_connection((HOST, number(kept))).close()


def test_a_reserved_port_is_kept_from_others_before_and_after_its_server() -> None:
    with reserve() as kept:
        for _ in range(2):
            with socket.socket() as other, pytest.raises(OSError) as refused:  # noqa: PT011 - its number is looked at
                other.bind((HOST, number(kept)))
            assert refused.value.errno == errno.EADDRINUSE
            socket.create_server((HOST, number(kept))).close()
