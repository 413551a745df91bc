"""The daemon's end of the control socket: takes requests, sends answers, never blocks.

Who may connect is decided by the folder it lies in: mode 0750, the agent's user and group.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from pathlib import Path
from selectors import EVENT_READ, EVENT_WRITE, BaseSelector

from agent.control import address
from agent.control.protocol import LONGEST_REQUEST, Answer, Request, decode_request, encode_answer, refusal
from agent.errors import ProtocolError

BACKLOG = 64
MOST_CONNECTIONS = 64  # more are closed at once: a client that connects and says nothing must not exhaust descriptors


class Connection:
    """One client: a request on its way in, then the answer on its way out."""

    def __init__(self, server: Server, peer: socket.socket) -> None:
        self._server = server
        self._peer = peer
        self._received = b""
        self._unsent = b""
        self._server.selector.register(peer, EVENT_READ, self._readable)

    def answer(self, answer: Answer) -> None:
        """Send the answer and close."""
        self._unsent = encode_answer(answer)
        self._writable()

    def close(self) -> None:
        """Give the client up; harmless when it has gone already."""
        if self in self._server.connections:
            self._server.connections.discard(self)
            self._server.selector.unregister(self._peer)
            self._peer.close()

    def _readable(self) -> None:
        try:
            received = self._peer.recv(LONGEST_REQUEST)
        except ConnectionError:
            received = b""
        self._received += received
        line, newline, rest = self._received.partition(b"\n")
        if newline:
            self._received = rest
            self._take(line)
        elif not received or len(self._received) > LONGEST_REQUEST:
            self.close()

    def _take(self, line: bytes) -> None:
        try:
            request = decode_request(line)
        except ProtocolError as error:
            self.answer(refusal(error))
        else:
            self._server.on_request(request, self)

    def _writable(self) -> None:
        if self not in self._server.connections:  # it left before its answer was there
            return
        try:
            sent = self._peer.send(self._unsent)
        except BlockingIOError:
            sent = 0
        except ConnectionError:
            self.close()
            return
        self._unsent = self._unsent[sent:]
        if self._unsent:
            self._server.selector.modify(self._peer, EVENT_WRITE, self._writable)
        else:
            self.close()


class Server:
    """Listens on a socket in the instance's runtime folder."""

    def __init__(self, path: Path, selector: BaseSelector, on_request: Callable[[Request, Connection], None]) -> None:
        """Listen at a path; a socket that a dead agent left there is replaced, the instance's lock being held."""
        self.selector = selector
        self.on_request = on_request
        self.connections: set[Connection] = set()
        self._path = path
        path.unlink(missing_ok=True)
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._listener.setblocking(False)
        with address.short(path) as name:
            self._listener.bind(name)
        os.chmod(path, 0o660)
        self._listener.listen(BACKLOG)
        selector.register(self._listener, EVENT_READ, self._accept)

    def close(self) -> None:
        """Stop listening, drop the clients, remove the socket."""
        for connection in list(self.connections):
            connection.close()
        self.selector.unregister(self._listener)
        self._listener.close()
        self._path.unlink(missing_ok=True)

    def _accept(self) -> None:
        try:
            peer, _ = self._listener.accept()
        except (
            OSError
        ):  # it went away again, or this process is out of descriptors: the client sees that it is not served
            return
        if len(self.connections) >= MOST_CONNECTIONS:
            peer.close()
            return
        peer.setblocking(False)
        self.connections.add(Connection(self, peer))
