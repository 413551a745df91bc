"""Pages over HTTP, for what scrapes and probes, each made anew for its request. No daemon knows of it: they are only asked."""

from __future__ import annotations

import ipaddress
import socket
import sys
from collections.abc import Callable, Mapping
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import BoundedSemaphore
from typing import Any

from agent.errors import AgentError
from agent.guest.values import dataclass

AT_ONCE = 16  # requests; who comes then is sent away, and asks again
SLOW = 3.0  # seconds in which a request has to be there, and its answer taken
_PORTS = range(65_536)


@dataclass(frozen=True, slots=True)
class Page:
    """What is answered; `content_type` as HTTP has it."""

    status: HTTPStatus
    content_type: str
    text: str


@dataclass(frozen=True, slots=True)
class Place:
    """An address to listen at; port 0 is any that is free."""

    host: str
    port: int

    def __str__(self) -> str:
        """Return it as in a URL."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @property
    def is_loopback(self) -> bool:
        """Whether only this machine can reach it."""
        return ipaddress.ip_address(self.host).is_loopback


def place(text: str) -> Place:
    """Return what `ADDRESS:PORT` names, as 127.0.0.1:9808, [::1]:9808 or localhost:9808; raises AgentError."""
    host, _, port = text.rpartition(":")
    host = "127.0.0.1" if host == "localhost" else host.removeprefix("[").removesuffix("]")
    try:
        ipaddress.ip_address(host)
    except ValueError:
        host = ""
    if not host or not (port.isascii() and port.isdigit() and int(port) in _PORTS):
        raise AgentError(f"{text!r} is no address to listen at: write an IP address and a port, as 127.0.0.1:9808.")
    return Place(host, int(port))


class Listener(ThreadingHTTPServer):
    """A server of pages by their paths; it listens once it is made, and answers in `serve_forever`."""

    daemon_threads = True

    def __init__(self, at: Place, pages: Mapping[str, Callable[[], Page]]) -> None:
        """Listen; raises AgentError where that can't be."""
        self.address_family = socket.AF_INET6 if ":" in at.host else socket.AF_INET
        self.pages = pages
        self._places = BoundedSemaphore(AT_ONCE)
        try:
            super().__init__((at.host, at.port), _Request)
        except OSError as error:
            raise AgentError(f"can't listen at {at}: {error.strerror}") from error

    @property
    def place(self) -> Place:
        """Where it listens."""
        return Place(str(self.server_address[0]), int(self.server_address[1]))

    def server_bind(self) -> None:
        """Bind without a look for the host's name, which may take a while."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.socket.bind(self.server_address)
        self.server_address = self.socket.getsockname()

    def process_request(self, request: Any, client_address: Any) -> None:
        """Answer in a thread of its own, where there is a place."""
        if self._places.acquire(blocking=False):
            super().process_request(request, client_address)
        else:
            self.shutdown_request(request)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        """Give the place back afterwards."""
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._places.release()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing of who hangs up, or is too slow: that is no fault here, as all else is."""
        if not isinstance(sys.exception(), OSError):
            super().handle_error(request, client_address)


class _Request(BaseHTTPRequestHandler):
    server: Listener
    timeout = SLOW
    server_version, sys_version = "celery-agent", ""

    def do_GET(self) -> None:
        page = self.server.pages.get(self.path.partition("?")[0])
        if page is None:
            self._answer(Page(HTTPStatus.NOT_FOUND, "text/plain; charset=utf-8", _index(self.server.pages)))
        else:
            self._answer(page())

    do_HEAD = do_GET  # noqa: N815

    def _answer(self, page: Page) -> None:
        body = page.text.encode(errors="backslashreplace")
        self.send_response(page.status)
        self.send_header("Content-Type", page.content_type)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 as http.server calls it
        """Say nothing: a scrape is no event."""


def _index(pages: Mapping[str, Any]) -> str:
    return f"There are {', '.join(pages)}.\n"
