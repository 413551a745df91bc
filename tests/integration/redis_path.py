"""A path to a Redis on which what is sent and answered can be held: what a network does, at the moment that a test wants."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from itertools import count

from tests.ports import HOST
from tests.redis import Redis

Look = Callable[[int, bytes], None]


@contextmanager
def path_to(server: Redis, sent: Look, answered: Look) -> Iterator[str]:
    """Lead connections to a server; yield the URL of the path.

    sent: is called with a connection's number and what comes by it, before that is led on. answered: likewise with what
    comes back, after it has been led on.
    """
    numbers = count()
    with socket.create_server((HOST, 0)) as listener:

        def lead(near: socket.socket) -> None:
            far, number = socket.create_connection((HOST, server.port)), next(numbers)
            threading.Thread(
                target=_copy, args=(far, near, lambda _: None, lambda it: answered(number, it)), daemon=True
            ).start()
            _copy(near, far, lambda it: sent(number, it), lambda _: None)

        def serve() -> None:
            with suppress(OSError):  # the listener is closed
                while True:
                    threading.Thread(target=lead, args=(listener.accept()[0],), daemon=True).start()

        threading.Thread(target=serve, daemon=True).start()
        try:
            yield f"redis://{HOST}:{listener.getsockname()[1]}/0"
        finally:
            listener.shutdown(socket.SHUT_RDWR)


def _copy(
    source: socket.socket, target: socket.socket, before: Callable[[bytes], None], after: Callable[[bytes], None]
) -> None:
    with suppress(OSError):
        while text := source.recv(65_536):
            before(text)
            target.sendall(text)
            after(text)
    for each in (source, target):
        with suppress(OSError):
            each.shutdown(socket.SHUT_RDWR)
