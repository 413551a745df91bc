"""Something at the place of an agent's control socket that answers whatever it likes."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from agent.control import address


@contextmanager
def other_agent(folder: Path, *answers: bytes, pause: float = 0.0) -> Iterator[None]:
    """Answer a client with each of these, one client after the other.

    pause: seconds after which an answer is sent again, and again; 0: never.
    """
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
        listener.bind(str(address.socket_in(folder)))
        listener.listen(1)
        left = threading.Event()

        def serve() -> None:
            for answer in answers:
                peer, _ = listener.accept()
                with peer:
                    peer.recv(65_536)
                    try:
                        peer.sendall(answer)
                        while pause and not left.wait(pause):
                            peer.sendall(answer)
                    except OSError:  # it has heard enough
                        pass

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield
        finally:
            left.set()
            thread.join()
