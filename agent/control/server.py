"""The daemon's end of the control socket: takes requests, sends answers, never waits.

Who may connect is decided by the folder it lies in: mode 0750, the agent's user and group, and the operators' group.

    a client                                  what becomes of it
    ----------------------------------------  -----------------------------------------------------------------------
    says nothing, or does not read            is told so and closed, after CLIENT_TIMEOUT
    sends more than one request               has the first one answered; the rest is not read
    shuts its sending side down               has its answer all the same
    is gone before its answer is there        is closed when the answer is, or before to make room
    comes when all places are taken           has the place of another, see `agent.control.places`
    loses its place to another                is told why it is not served, and closed
    asks what the agent fails at              is told so; the fault is the daemon's to log
"""

from __future__ import annotations

import errno
import os
import socket
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from selectors import EVENT_READ, EVENT_WRITE, BaseSelector
from typing import Protocol

from agent.control import address
from agent.control.peer import Peer, peer_of
from agent.control.places import Place, to_be_given_up
from agent.control.protocol import LONGEST_REQUEST, Encodable, Refusal, Request, decode_request, encode_answer, refusal
from agent.errors import FAILURE, AgentError, ConfigurationError
from agent.guest.receiving import is_gone, receive, refuse_descriptors

BUSY = "the agent is busy with other requests: try again in a moment"
BACKLOG = 64
MOST_CONNECTIONS = 64
CLIENT_TIMEOUT = 5.0  # seconds for a client to send its request, and as many to take its answer; both are one line


class Timers(Protocol):
    """What calls a function in so many seconds."""

    def after(self, seconds: float, name: str, do: Callable[[], None]) -> None:
        """Call it, once; another one of the name is forgotten."""

    def cancel(self, name: str) -> None:
        """Forget it."""


class Connection:
    """One client: a request on its way in, then the answer on its way out.

    deadline: until when it has to do its part, by the monotonic clock; None while the daemon has to. client: who it is.
    """

    def __init__(self, server: Server, peer: socket.socket) -> None:
        self.deadline: float | None = time.monotonic() + CLIENT_TIMEOUT
        self.client = peer_of(peer)
        self._server = server
        self._peer = peer
        self._received = b""
        self._unsent = b""
        self._server.selector.register(peer, EVENT_READ, self.read)
        self._is_registered = True

    @property
    def is_open(self) -> bool:
        """Whether an answer still reaches it."""
        return self in self._server.connections

    def answer(self, answer: Encodable) -> None:
        """Send the answer and close; harmless when the client has gone already."""
        self.deadline = time.monotonic() + CLIENT_TIMEOUT
        self._stop_listening()
        self._unsent = encode_answer(answer)
        self._writable()

    def close(self) -> None:
        """Give the client up; harmless when it has gone already."""
        self._stop_listening()
        self._peer.close()
        self._server.forget(self)

    def give_up(self) -> None:
        """Close before the answer; tell the client why, where it has not been sent a part of one."""
        self._stop_listening()
        if not self._unsent:
            silent = f"a request was expected within {CLIENT_TIMEOUT:g} s"
            _refuse(self._peer, BUSY if self.deadline is None else silent)
        self.close()

    def is_gone(self) -> bool:
        """Tell whether the client has closed its end."""
        return is_gone(self._peer)

    def _stop_listening(self) -> None:
        if self._is_registered:
            self._is_registered = False
            self._server.selector.unregister(self._peer)

    def read(self) -> None:
        """Take what the client has sent so far."""
        try:
            received = receive(self._peer, LONGEST_REQUEST + 1 - len(self._received))
        except BlockingIOError:
            return
        except OSError:
            received = b""
        self._received += received
        line, newline, _ = self._received.partition(b"\n")
        if newline:
            self._take(line)
        elif not received:
            self.close()
        elif len(self._received) > LONGEST_REQUEST:
            self.answer(Refusal(f"a request has at most {LONGEST_REQUEST} bytes", FAILURE))

    def _take(self, line: bytes) -> None:
        self.deadline = None
        self._stop_listening()
        try:
            self._server.on_request(decode_request(line), self)
        except AgentError as error:
            self.answer(refusal(error))
        except Exception as error:  # noqa: BLE001 - one client's question must not end what the others and the workers need
            self._server.on_fault(error)
            self.answer(Refusal("the agent failed at this request; its log says where", FAILURE))

    def _writable(self) -> None:
        if not self.is_open:  # it left before its answer was there
            return
        try:
            sent = self._peer.send(self._unsent)
        except BlockingIOError:
            sent = 0
        except OSError:
            self.close()
            return
        self._unsent = self._unsent[sent:]
        if not self._unsent:
            self.close()
        elif not self._is_registered:
            self._server.selector.register(self._peer, EVENT_WRITE, self._writable)
            self._is_registered = True


class Server:
    """Listens on a socket in the instance's runtime folder."""

    def __init__(
        self,
        folder: Path,
        selector: BaseSelector,
        timers: Timers,
        on_request: Callable[[Request, Connection], None],
        on_fault: Callable[[Exception], None],
    ) -> None:
        """Listen in a folder; a socket that a dead agent left there is replaced, the instance's lock being held.

        Raises ConfigurationError where there can be none.

        on_request: answers by the connection, now or later; an AgentError that it raises is the answer.
        on_fault: called with any other error of on_request, after which the client is told that there was one.
        """
        self.selector = selector
        self.on_request = on_request
        self.on_fault = on_fault
        self.connections: dict[Connection, None] = {}  # the oldest first
        self._timers = timers
        self._path = address.socket_in(folder)
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._listener.setblocking(False)
        refuse_descriptors(self._listener)
        try:
            self._path.unlink(missing_ok=True)
            with address.short(self._path) as name:
                self._listener.bind(name)
            os.chmod(self._path, 0o660)
            self._own = self._path.lstat()
        except OSError as error:
            self._listener.close()
            raise ConfigurationError(f"{self._path} can't be made: {error.strerror}. Remove what is there.") from error
        self._listener.listen(BACKLOG)
        self._spare = _spare()
        selector.register(self._listener, EVENT_READ, self._accept)

    def close(self) -> None:
        """Stop listening, drop the clients, remove the socket."""
        for connection in list(self.connections):
            connection.close()
        self.selector.unregister(self._listener)
        self._listener.close()
        self._close_spare()
        if self.is_in_place():  # else it has been removed, or is another agent's
            with suppress(OSError):
                self._path.unlink()

    def is_in_place(self) -> bool:
        """Say whether clients find this socket."""
        try:
            return os.path.samestat(self._path.lstat(), self._own)
        except OSError:
            return False

    def forget(self, connection: Connection) -> None:
        """Drop a connection that was closed; harmless when it was dropped already."""
        self.connections.pop(connection, None)
        if not self.connections:
            self._timers.cancel("clients")

    def _accept(self) -> None:
        try:
            peer, _ = self._listener.accept()
        except OSError as error:
            if error.errno in (errno.EMFILE, errno.ENFILE):
                self._refuse_without_descriptors()
            return  # else it went away again
        peer.setblocking(False)
        connection = Connection(self, peer)
        self._make_room(connection.client)
        self.connections[connection] = None
        if len(self.connections) == 1:
            self._timers.after(CLIENT_TIMEOUT, "clients", self._close_late)
        connection.read()  # it has asked already, most likely, and is served before anybody can take its place

    def _refuse_without_descriptors(self) -> None:
        """Let the spare descriptor go for a client: as long as it waits to be accepted, the loop would find it ready."""
        self._close_spare()
        try:
            peer, _ = self._listener.accept()
        except OSError:  # it went away
            pass
        else:
            _refuse(peer, "the agent is out of descriptors: its limit of open files is too low")
        self._spare = _spare()

    def _close_spare(self) -> None:
        if self._spare is not None:
            os.close(self._spare)
            self._spare = None

    def _make_room(self, newcomer: Peer) -> None:
        """Have a place for a client, which who has left, or who has many, may have to give up."""
        if len(self.connections) >= MOST_CONNECTIONS:
            for connection in [each for each in self.connections if each.is_gone()]:
                connection.close()
        if len(self.connections) >= MOST_CONNECTIONS:
            connections = list(self.connections)
            places = [Place(each.client, each.deadline is not None) for each in connections]
            connections[to_be_given_up(places, newcomer)].give_up()

    def _close_late(self) -> None:
        now = time.monotonic()
        for connection in list(self.connections):
            if connection.deadline is not None and connection.deadline <= now:
                connection.give_up()
        deadlines = [each.deadline for each in self.connections if each.deadline is not None]
        if self.connections:
            self._timers.after(min(deadlines, default=now + CLIENT_TIMEOUT) - now, "clients", self._close_late)


def _refuse(peer: socket.socket, text: str) -> None:
    """Say in one line why a client is not served, and close."""
    with peer:
        try:
            peer.send(encode_answer(Refusal(text, FAILURE)), socket.MSG_DONTWAIT)
        except OSError:  # it left, or never reads
            pass


def _spare() -> int | None:
    """Return a descriptor to let go where one is needed; None where there is none to be had."""
    try:
        return os.open(os.devnull, os.O_RDONLY)
    except OSError:
        return None
