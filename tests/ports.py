"""Ports of loopback that are kept for servers to come."""

import socket

HOST = "127.0.0.1"


def reserve() -> socket.socket:
    """Return a socket that keeps a port until it is closed; it is bound, and does not listen.

    Linux gives the port to nobody who asks for any free one, and lets a server have it that sets SO_REUSEADDR before it binds,
    as Erlang, epmd, Redis and asyncio do. While there is no server, connections are refused.
    """
    kept = socket.socket()
    kept.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    kept.bind((HOST, 0))
    return kept


def number(kept: socket.socket) -> int:
    """Return the port that a socket keeps."""
    found: int = kept.getsockname()[1]
    return found
